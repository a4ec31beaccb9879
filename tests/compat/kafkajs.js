// SPDX-License-Identifier: MIT
// kafkajs.js - kafkajs against kirad, one step per run: node kafkajs.js STEP BOOTSTRAP [GROUP TOPIC SESSION_MS]. kafkajs.py starts it, with
// NODE_PATH set. Exit 0: the step held. `member` is a consumer that prints what it gets and closes on SIGTERM.
'use strict'
const assert = require('node:assert/strict')
const { Kafka, logLevel, CompressionTypes, ConfigResourceTypes } = require('kafkajs')

const [step, bootstrap, group, topic, sessionMs] = process.argv.slice(2)
const kafka = new Kafka({ clientId: 'js', brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 3 } })
const RECORDS = 1000

async function withAdmin(act) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await act(admin)
  } finally {
    await admin.disconnect()
  }
}

async function withProducer(options, act) {
  const producer = kafka.producer(options)
  await producer.connect()
  try {
    return await act(producer)
  } finally {
    await producer.disconnect()
  }
}

// Until `count` records came, all of them: [partition, key, value, headers].
async function readAll(groupId, name, count) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, maxWaitTimeInMs: 500 })
  const found = []
  await consumer.connect()
  await consumer.subscribe({ topic: name, fromBeginning: true })
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, e => reject(e.payload.error))
    consumer.run({
      eachMessage: async ({ partition, message: m }) => {
        const headers = Object.entries(m.headers).map(([k, v]) => `${k}=${v}`)
        found.push([partition, m.key && m.key.toString(), m.value.toString(), headers.join()])
        if (found.length === count) resolve()
      },
    }).catch(reject)
  })
  await consumer.disconnect()
  return found
}

const sorted = records => records.map(r => JSON.stringify(r)).sort()

const steps = {
  async records() {
    const name = 'js-records'
    await withAdmin(a => a.createTopics({ topics: [{ topic: name, numPartitions: 3 }] }))
    const sent = []
    await withProducer({ idempotent: true, maxInFlightRequests: 1 }, async p => {
      for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
        const messages = []
        for (let n = 0; n < RECORDS; n++) {
          const m = { partition: n % 3, key: n % 2 ? `key ${n}` : null, value: `codec ${compression}, ${n}`, headers: { n: `${n}` } }
          messages.push(m)
          sent.push([m.partition, m.key, m.value, `n=${n}`])
        }
        await p.send({ topic: name, messages, compression, acks: -1 })
      }
    })
    assert.deepEqual(sorted(await readAll('js-reader', name, sent.length)), sorted(sent))
  },

  async offsets() {
    const name = 'js-times'
    await withAdmin(a => a.createTopics({ topics: [{ topic: name, numPartitions: 1 }] }))
    await withProducer({}, p => p.send({
      topic: name, acks: 1, messages: [1000, 2000, 3000].map(t => ({ value: `${t}`, timestamp: `${1700000000000 + t}` })) }))
    await withAdmin(async a => {
      const [at] = await a.fetchTopicOffsets(name)
      assert.deepEqual([at.low, at.high], ['0', '3'])
      assert.equal((await a.fetchTopicOffsetsByTimestamp(name, 1700000001500))[0].offset, '1')
      assert.equal((await a.fetchTopicOffsetsByTimestamp(name, 1800000000000))[0].offset, '3') // none: its end
    })
  },

  async commits() {
    const name = 'js-times', groupId = 'js-commits'
    await withAdmin(async a => {
      const fetched = async () => (await a.fetchOffsets({ groupId, topics: [name] }))[0].partitions[0].offset
      assert.equal(await fetched(), '-1')
      await a.setOffsets({ groupId, topic: name, partitions: [{ partition: 0, offset: '2' }] })
      assert.equal(await fetched(), '2')
    })
    assert.deepEqual((await readAll(groupId, name, 1)).map(r => r[2]), ['3000'])
    await withAdmin(async a => {
      const fetched = async () => (await a.fetchOffsets({ groupId, topics: [name] }))[0].partitions[0].offset
      assert.equal(await fetched(), '3')
      await a.resetOffsets({ groupId, topic: name, earliest: true })
      assert.equal(await fetched(), '-2') // kafkajs commits the name of the beginning, not its offset
    })
    assert.deepEqual((await readAll(groupId, name, 3)).map(r => r[2]), ['1000', '2000', '3000'])
  },

  async groups() {
    await withAdmin(async a => {
      assert.ok((await a.listGroups()).groups.some(g => g.groupId === 'js-commits' && g.protocolType === 'consumer'))
      const [described] = (await a.describeGroups(['js-commits'])).groups
      assert.equal(described.state, 'Empty')
      assert.deepEqual((await a.deleteGroups(['js-commits'])).map(g => [g.groupId, g.errorCode]), [['js-commits', 0]])
      assert.ok(!(await a.listGroups()).groups.some(g => g.groupId === 'js-commits'))
      await assert.rejects(a.deleteGroups(['nobody']), e => e.groups[0].errorCode === 69)
    })
  },

  async topics() {
    await withAdmin(async a => {
      const made = { topics: [{ topic: 'js-topic', numPartitions: 2, configEntries: [{ name: 'retention.ms', value: '60000' }] }] }
      assert.equal(await a.createTopics({ ...made, validateOnly: true, waitForLeaders: false }), true)
      assert.ok(!(await a.listTopics()).includes('js-topic'))
      assert.equal(await a.createTopics(made), true)
      assert.equal(await a.createTopics(made), false) // it is there
      const [meta] = (await a.fetchTopicMetadata({ topics: ['js-topic'] })).topics
      const cluster = await a.describeCluster()
      assert.deepEqual(meta.partitions.map(p => [p.partitionId, p.leader]).sort(), [0, 1].map(p => [p, cluster.brokers[0].nodeId]))
      assert.ok(cluster.clusterId)
      await a.deleteTopics({ topics: ['js-topic'] })
      assert.ok(!(await a.listTopics()).includes('js-topic'))
    })
  },

  async partitions() {
    const name = 'js-more'
    await withAdmin(async a => {
      await a.createTopics({ topics: [{ topic: name, numPartitions: 1 }] })
      await a.createPartitions({ topicPartitions: [{ topic: name, count: 3 }] })
      await assert.rejects(a.createPartitions({ topicPartitions: [{ topic: name, count: 2 }] }))
      assert.equal((await a.fetchTopicMetadata({ topics: [name] })).topics[0].partitions.length, 3)
    })
    await withProducer({}, p => p.send({ topic: name, messages: [0, 1, 2].map(n => ({ partition: n, value: `${n}` })) }))
    assert.equal((await readAll('js-more', name, 3)).length, 3)
  },

  async configs() {
    const name = 'js-configs'
    await withAdmin(async a => {
      const resource = { type: ConfigResourceTypes.TOPIC, name }
      const value = async (key, r = resource) => (await a.describeConfigs({ includeSynonyms: true, resources: [
        { ...r, configNames: [key] }] })).resources[0].configEntries.find(e => e.configName === key).configValue
      await a.createTopics({ topics: [{ topic: name, configEntries: [{ name: 'retention.ms', value: '60000' }] }] })
      assert.equal(await value('retention.ms'), '60000')
      await a.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'segment.bytes', value: '2097152' }] }] })
      assert.equal(await value('segment.bytes'), '2097152')
      assert.equal(await value('retention.ms'), '604800000') // the old request replaces the whole set
      await assert.rejects(a.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'no.such', value: '1' }] }] }))
      const node = (await a.describeCluster()).brokers[0].nodeId
      const broker = await a.describeConfigs({ includeSynonyms: false, resources: [{ type: ConfigResourceTypes.BROKER, name: `${node}` }] })
      assert.ok(broker.resources[0].configEntries.length > 0)
    })
  },

  async deletion() {
    await withAdmin(async a => {
      assert.equal((await a.fetchTopicOffsets('js-times'))[0].low, '0')
      await a.deleteTopicRecords({ topic: 'js-times', partitions: [{ partition: 0, offset: '2' }] })
      assert.equal((await a.fetchTopicOffsets('js-times'))[0].low, '2')
    })
    assert.deepEqual((await readAll('js-left', 'js-times', 1)).map(r => r[2]), ['3000'])
  },

  async transactions() {
    await withProducer({ transactionalId: 'x', idempotent: true, maxInFlightRequests: 1 }, async p => {
      // It tells every error of FindCoordinator but two as this; of those two, it would try again for long.
      await assert.rejects(p.transaction(), e => e.name === 'KafkaJSGroupCoordinatorNotFound')
    })
  },

  async member() {
    const consumer = kafka.consumer({ groupId: group, sessionTimeout: Number(sessionMs), heartbeatInterval: 500, rebalanceTimeout: 6000,
      maxWaitTimeInMs: 500 }) // it looks for rebalances between two fetches
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    process.on('SIGTERM', async () => {
      await consumer.disconnect()
      console.log('closed')
      process.exit(0)
    })
    await consumer.run({ eachMessage: async ({ message }) => console.log(message.value.toString()) })
    await new Promise(() => {})
  },
}

steps[step]().then(() => process.exit(0), e => {
  console.error(e)
  process.exit(1)
})
