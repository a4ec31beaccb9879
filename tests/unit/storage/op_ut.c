/* SPDX-License-Identifier: MIT
 * op_ut.c - control's operations (storage/flush_op.c) and the files of the directory
 * (storage/directory.c): topics made, removed, made again, undone; ids; who may open what. */
#include "tests/unit/storage/world.h"
#include "base/uuid.h"

#include <errno.h>
#include <sys/stat.h>

static bool
in_dir(const char *name)
{
	char path[600];

	(void)snprintf(path, sizeof(path), "%s/%s", w.dir, name);
	return access(path, F_OK) == 0;
}

static void
a_topic_that_was_created_is_found_after_a_restart(void)
{
	const struct storage_topic *topic;
	uint8_t id[16];

	world_begin(3);
	CU_ASSERT_TRUE(in_dir("t-0") && in_dir("t-1") && in_dir("t-2"));
	CU_ASSERT_TRUE(world_has(1, LAYOUT_METADATA) && world_has(1, LAYOUT_EPOCHS));
	CU_ASSERT_EQUAL(world_count(1, ""), 2); /* no segment before a batch comes */
	CU_ASSERT_EQUAL(world_count(1, ".tmp"), 0);
	memcpy(id, w.part[0]->topic_id, sizeof(id));
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_topics(w.s, &topic), 1);
	CU_ASSERT_STRING_EQUAL(topic[0].name, "t");
	CU_ASSERT_EQUAL(memcmp(topic[0].id, id, sizeof(id)), 0);
	CU_ASSERT_EQUAL(w.parts, 3);
	CU_ASSERT_EQUAL(storage_index(w.part[2]), 2);
	CU_ASSERT_STRING_EQUAL(storage_topic_name(w.part[2]), "t");
	world_end();
}

static void
a_topic_can_be_deleted_and_created_again_and_begins_at_0(void)
{
	world_begin(2);
	for (unsigned i = 0; i < 5; i++) {
		world_fill(0, 2 * WORLD_SEGMENT);
		(void)world_append(1, (struct batch_of){.count = 1});
		CU_ASSERT_EQUAL(world_delete(), 0);
		CU_ASSERT_FALSE(in_dir("t-0") || in_dir("t-1"));
		CU_ASSERT_EQUAL(world_create("t", 2), 0);
		(void)world_append(0, (struct batch_of){.count = 4});
		CU_ASSERT_EQUAL(w.result.base_offset, 0);
		CU_ASSERT_EQUAL(world_read(0), 4);
	}
	CU_ASSERT_EQUAL(world_delete(), 0);
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(w.parts, 0);
	world_end();
}

/* A producer of the deleted topic is unknown to the new one, though the slot is the same. */
static void
a_deleted_topics_producers_are_forgotten(void)
{
	const struct batch_of o = {.count = 2, .producer = 5};

	world_begin(1);
	(void)world_append(0, o);
	CU_ASSERT_EQUAL(world_append_as(0, o, 0), APPEND_DUPLICATE);
	CU_ASSERT_EQUAL(world_delete(), 0);
	CU_ASSERT_EQUAL(world_create("t", 1), 0);
	CU_ASSERT_EQUAL(world_append_as(0, o, 0), APPEND_STORED);
	world_end();
}

static int
full_after_a_while(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_PWRITE && fake.calls[IO_PWRITE] == 5 ? -ENOSPC : 0;
}

static void
a_create_that_finds_the_disk_full_is_undone_and_works_later(void)
{
	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	fake.calls[IO_PWRITE] = 0;
	fake.hook = full_after_a_while;
	CU_ASSERT_EQUAL(world_create("t", 4), -ENOSPC);
	CU_ASSERT_TRUE(strstr(w.err.text, "t-2") != NULL);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_PTR_NULL(w.part[i]);
	CU_ASSERT_FALSE(in_dir("t-0") || in_dir("t-1") || in_dir("t-2") || in_dir("t-3"));
	fake.hook = NULL;
	CU_ASSERT_EQUAL(world_create("t", 4), 0);
	(void)world_append(3, (struct batch_of){.count = 1});
	CU_ASSERT_EQUAL(world_read(3), 1);
	world_end();
}

static void
segments_that_go_with_their_topic_are_counted(void)
{
	unsigned files;

	world_begin(2);
	world_fill(0, 3 * WORLD_SEGMENT);
	world_settle();
	files = world_count(0, ".log");
	CU_ASSERT_TRUE_FATAL(files > 2);
	CU_ASSERT_EQUAL(world_delete(), 0);
	CU_ASSERT_EQUAL(w.count.segments_deleted, files);
	world_end();
}

static uint64_t synced_before;

static int
look_at_the_catalogue(enum io_kind kind, int fd, const char *name)
{
	if (kind == IO_OPENAT && name && strcmp(name, "kira.topics.tmp") == 0)
		synced_before = fake.calls[IO_SYNC_RANGE];
	return 0;
}

static void
what_was_appended_is_synced_before_its_topic_goes(void)
{
	uint64_t synced;

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 3});
	synced = fake.calls[IO_SYNC_RANGE];
	synced_before = 0;
	fake.hook = look_at_the_catalogue;
	CU_ASSERT_EQUAL(world_delete(), 0);
	CU_ASSERT_TRUE(synced_before > synced);
	world_end();
}

/* Nor do the operations behind it wait for flush.ms, which may be minutes. */
static void
a_delete_does_not_wait_for_the_next_commit_but_begins_one(void)
{
	uint64_t before;

	world_begin(1);
	w.s->flush.flush_ns = 3600 * NS_PER_S;
	(void)world_append(0, (struct batch_of){.count = 3});
	before = w.now_ns;
	CU_ASSERT_EQUAL(world_delete(), 0);
	CU_ASSERT_TRUE(w.now_ns - before < NS_PER_S);
	world_end();
}

/* Whichever call of a create fails once, the topic is there wholly or not at all. */
static void
a_create_that_fails_at_any_call_can_be_repeated(void)
{
	unsigned failed = 0, stayed = 0, n;

	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	for (n = 1; n < 200; n++) {
		int rc;

		world_turns(600);
		fake.fails_at = fake.total + n;
		rc = world_create("t", 2);
		fake.fails_at = 0;
		failed += rc < 0;
		if (rc < 0) {
			CU_ASSERT_TRUE(strlen(w.err.text) > 10);
			/* Renamed and not synced, the catalogue may name it: then it stays. */
			if (in_dir("t-0") || in_dir("t-1"))
				stayed++;
			rc = world_create("t", 2);
		}
		CU_ASSERT_EQUAL_FATAL(rc, 0);
		CU_ASSERT_EQUAL_FATAL(world_delete(), 0);
		if (failed < n / 2)
			break; /* well behind the last call */
	}
	CU_ASSERT_TRUE(failed > 20 && n < 200);
	CU_ASSERT_EQUAL(stayed, 2); /* the one sync of the directory after the rename, and its look whether it was one */
	world_end();
}

static void
a_topic_that_grew_keeps_what_it_had_and_has_more_after_a_restart(void)
{
	world_begin(1);
	world_fill(0, 3 * WORLD_SEGMENT);
	CU_ASSERT_EQUAL_FATAL(world_grow(3), 0);
	CU_ASSERT_EQUAL(storage_index(w.part[2]), 2);
	CU_ASSERT_NOT_EQUAL(storage_slot(w.part[1]), storage_slot(w.part[0]));
	for (unsigned p = 0; p < 3; p++)
		(void)world_append(p, (struct batch_of){.count = 2});
	world_sync();
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL_FATAL(w.parts, 3);
	CU_ASSERT_TRUE(world_read(0) > 100);
	CU_ASSERT_EQUAL(world_read(1), 2);
	CU_ASSERT_EQUAL(world_read(2), 2);
	CU_ASSERT_EQUAL(world_delete(), 0);
	world_end();
}

/* Whichever call of it fails once, the partitions that were there are as they were, and it can be repeated. */
static void
a_growth_that_fails_at_any_call_changes_nothing_or_all(void)
{
	unsigned failed = 0, n;

	world_begin(1);
	for (n = 1; n < 200; n++) {
		struct partition *was = w.part[0];
		int rc;

		(void)world_append(0, (struct batch_of){.count = 4});
		world_turns(600);
		fake.fails_at = fake.total + n;
		rc = world_grow(3);
		fake.fails_at = 0;
		failed += rc < 0;
		CU_ASSERT_PTR_EQUAL_FATAL(w.part[0], was);
		CU_ASSERT_EQUAL(world_read(0), 4);
		if (rc < 0) {
			CU_ASSERT_TRUE(strlen(w.err.text) > 10);
			CU_ASSERT_EQUAL_FATAL(world_grow(3), 0);
		}
		(void)world_append(2, (struct batch_of){.count = 1});
		CU_ASSERT_EQUAL(world_read(2), 1);
		CU_ASSERT_EQUAL_FATAL(world_delete(), 0);
		CU_ASSERT_EQUAL_FATAL(world_create("t", 1), 0);
		if (failed < n / 2)
			break; /* well behind the last call */
	}
	CU_ASSERT_TRUE(failed > 20 && n < 200);
	world_end();
}

static void
a_growth_cut_short_by_a_kill_leaves_the_topic_as_it_was(void)
{
	char path[400];

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 4});
	world_sync();
	world_kill();
	/* What is there before the catalogue is written. */
	(void)snprintf(path, sizeof(path), "%s/t-1", w.dir);
	CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL_FATAL(w.parts, 1);
	CU_ASSERT_EQUAL(world_read(0), 4);
	CU_ASSERT_EQUAL_FATAL(world_grow(2), 0);
	(void)world_append(1, (struct batch_of){.count = 1});
	CU_ASSERT_EQUAL(world_read(1), 1);
	world_end();
}

static void
a_topic_with_more_partitions_than_slots_is_refused(void)
{
	static char text[] = "version 1\n";
	struct partition *part[20];
	struct storage_op op = {
		.kind = OP_CREATE_TOPIC, .config = w.config, .part = part, .catalogue = text};
	struct storage_op *done = NULL;

	world_begin(1);
	memset(part, 0xa5, sizeof(part));
	op.topic.name[0] = 'u';
	op.topic.partitions = 20;
	storage_submit(w.s, &op);
	for (unsigned i = 0; i < 10 && !done; i++) {
		world_turns(1);
		done = storage_reap(w.s);
	}
	CU_ASSERT_PTR_EQUAL(done, &op);
	CU_ASSERT_EQUAL(op.rc, -ENOSPC);
	CU_ASSERT_TRUE(strstr(op.err.text, "max-partitions") != NULL);
	CU_ASSERT_FALSE(in_dir("u-0"));
	world_end();
}

static void
a_directory_that_is_no_topic_of_the_catalogue_is_left_alone(void)
{
	char path[400];

	world_begin(1);
	CU_ASSERT_EQUAL(world_delete(), 0);
	(void)snprintf(path, sizeof(path), "%s/t-1", w.dir);
	CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/t-1/precious", w.dir);
	CU_ASSERT_EQUAL(mkdir(path, 0755), 0);
	CU_ASSERT_EQUAL(world_create("t", 2), -EEXIST);
	CU_ASSERT_TRUE(strstr(w.err.text, "t-1") != NULL);
	CU_ASSERT_TRUE(in_dir("t-1/precious"));
	CU_ASSERT_FALSE(in_dir("t-0"));
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_TRUE(in_dir("t-1/precious"));
	world_end();
}

static int
dies_in_delete(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_UNLINKAT ? -EIO : 0;
}

static void
a_deletion_that_was_cut_short_is_finished_at_the_next_start(void)
{
	char path[400], id[23];

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 4});
	uuid_put(id, w.part[0]->topic_id);
	(void)snprintf(path, sizeof(path), "t-0.%s-delete", id);
	fake.hook = dies_in_delete;
	CU_ASSERT_EQUAL(world_delete(), -EIO);
	fake.hook = NULL;
	CU_ASSERT_FALSE(in_dir("t-0"));
	CU_ASSERT_TRUE(in_dir(path));
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_FALSE(in_dir(path));
	CU_ASSERT_EQUAL(w.parts, 0);
	world_end();
}

/* What is not to be removed, a file or a directory with another in it, keeps neither a topic that is to come back from
 * doing so, nor what is to go. In whatever order they are listed. */
static void
what_cannot_be_removed_is_in_nobodys_way(void)
{
	char from[200], gone[600], path[600], id[23];
	int fd;

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 4});
	world_sync();
	uuid_put(id, w.part[0]->topic_id);
	world_kill();
	(void)snprintf(from, sizeof(from), "%s/t-0", w.dir);
	(void)snprintf(gone, sizeof(gone), "%s/t-0.%s-delete", w.dir, id);
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%u-delete", w.dir, i);
		fd = open(path, O_WRONLY | O_CREAT, 0644);
		CU_ASSERT_TRUE_FATAL(fd >= 0 && close(fd) == 0);
		(void)snprintf(path, sizeof(path), "%s/old-%u-delete", w.dir, i);
		CU_ASSERT_EQUAL_FATAL(mkdir(path, 0755), 0);
		(void)snprintf(path, sizeof(path), "%s/old-%u-delete/inner", w.dir, i);
		CU_ASSERT_EQUAL_FATAL(mkdir(path, 0755), 0);
		(void)snprintf(path, sizeof(path), "%s/empty-%u-delete", w.dir, i);
		CU_ASSERT_EQUAL_FATAL(mkdir(path, 0755), 0);
		if (i == 0)
			CU_ASSERT_EQUAL_FATAL(rename(from, gone), 0);
	}
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_state(w.part[0]), PART_OK);
	CU_ASSERT_EQUAL(world_read(0), 4);
	CU_ASSERT_FALSE(in_dir("empty-0-delete") || in_dir("empty-1-delete"));
	CU_ASSERT_TRUE(in_dir("0-delete") && in_dir("1-delete"));
	CU_ASSERT_TRUE(in_dir("old-0-delete/inner") && in_dir("old-1-delete/inner"));
	world_end();
}

static void
producer_ids_that_were_spent_stay_spent(void)
{
	struct storage_op op = {.kind = OP_PRODUCER_IDS, .producer_ids = 5000};
	struct storage_op *done = NULL;

	world_begin(1);
	CU_ASSERT_EQUAL(storage_producer_ids_spent(w.s), 0);
	storage_submit(w.s, &op);
	for (unsigned i = 0; i < 10 && !done; i++) {
		world_turns(1);
		done = storage_reap(w.s);
	}
	CU_ASSERT_TRUE(done == &op && op.rc == 0);
	world_kill();
	CU_ASSERT_EQUAL_FATAL(world_open(), 0);
	CU_ASSERT_EQUAL(storage_producer_ids_spent(w.s), 5000);
	world_end();
}

static void
a_second_broker_on_the_directory_is_refused(void)
{
	struct storage *other;

	world_begin(1);
	CU_ASSERT_EQUAL(storage_open(&other, &w.o, w.wall_ms, &w.err), -EAGAIN);
	CU_ASSERT_TRUE(strstr(w.err.text, w.dir) != NULL);
	CU_ASSERT_EQUAL(world_stop(), 0);
	CU_ASSERT_EQUAL_FATAL(storage_open(&other, &w.o, w.wall_ms, &w.err), 0);
	CU_ASSERT_EQUAL(storage_close(other, w.wall_ms, &w.err), 0);
	world_end();
}

static int
catalogue_stays(enum io_kind kind, int fd, const char *name)
{
	return kind == IO_RENAMEAT && strcmp(name, "kira.topics") == 0 ? -ENOSPC : 0;
}

static int
dies_before_the_catalogue(enum io_kind kind, int fd, const char *name)
{
	if (kind == IO_RENAMEAT && strcmp(name, "kira.topics") == 0)
		synced_before = 1;
	return synced_before ? -EIO : 0;
}

/* By a crash, or by a full disk: the catalogue has it still, and so it is there as it was. */
static void
a_deletion_that_did_not_reach_the_catalogue_never_was(void)
{
	for (unsigned i = 0; i < 2; i++) {
		world_begin(2);
		(void)world_append(1, (struct batch_of){.count = 4});
		synced_before = 0;
		fake.hook = i == 0 ? dies_before_the_catalogue : catalogue_stays;
		CU_ASSERT_TRUE(world_delete() < 0);
		fake.hook = NULL;
		CU_ASSERT_EQUAL(in_dir("t-1"), i == 1);
		world_kill();
		CU_ASSERT_EQUAL_FATAL(world_open(), 0);
		CU_ASSERT_EQUAL_FATAL(w.parts, 2);
		CU_ASSERT_TRUE(in_dir("t-0") && in_dir("t-1"));
		CU_ASSERT_EQUAL(w.part[1]->next, 4);
		CU_ASSERT_EQUAL(world_delete(), 0);
		CU_ASSERT_EQUAL(world_create("t", 2), 0);
		world_end();
	}
}

/* Not gone until a restart: it is there, read as before, takes nothing, and may be deleted once more. */
static void
a_topic_that_could_not_be_deleted_is_there_again(void)
{
	world_begin(2);
	(void)world_append(1, (struct batch_of){.count = 4});
	world_sync();
	fake.hook = catalogue_stays;
	CU_ASSERT_EQUAL(world_delete(), -ENOSPC);
	fake.hook = NULL;
	CU_ASSERT_EQUAL_FATAL(w.parts, 2);
	for (unsigned p = 0; p < 2; p++)
		CU_ASSERT_EQUAL(storage_state(w.part[p]), PART_FAILED);
	CU_ASSERT_EQUAL(w.count.partitions_failed, 2);
	CU_ASSERT_EQUAL(world_read(1), 4);
	CU_ASSERT_EQUAL(world_append_as(1, (struct batch_of){.count = 1}, 0), APPEND_REFUSED);
	CU_ASSERT_EQUAL(w.result.error, KIRA_E_KAFKA_STORAGE_ERROR);
	world_turns(2000);
	CU_ASSERT_EQUAL(world_delete(), 0);
	CU_ASSERT_EQUAL_FATAL(world_create("t", 2), 0);
	w.was_n[1] = 0;
	(void)world_append(1, (struct batch_of){.count = 1});
	CU_ASSERT_EQUAL(w.result.base_offset, 0);
	world_end();
}

static void
a_directory_with_other_files_or_a_memory_file_system_is_refused(void)
{
	char path[400];

	world_begin(1);
	CU_ASSERT_EQUAL(world_stop(), 0);
	(void)snprintf(path, sizeof(path), "%s/kira.meta", w.dir);
	CU_ASSERT_EQUAL(unlink(path), 0);
	CU_ASSERT_EQUAL(world_open(), -ENOTEMPTY);
	world_end();
	world_begin(1);
	CU_ASSERT_EQUAL(world_stop(), 0);
	w.o.volatile_ok = false;
	fake.space.type = 0x01021994; /* tmpfs */
	CU_ASSERT_EQUAL(world_open(), -EINVAL);
	w.o.volatile_ok = true;
	CU_ASSERT_EQUAL(world_open(), 0);
	CU_ASSERT_TRUE(storage_is_volatile(w.s));
	world_end();
}

static void
damaged_files_of_the_directory_are_named(void)
{
	static const char *const file[] = {"kira.meta", "kira.topics"};

	for (unsigned i = 0; i < ARRAY_LENGTH(file); i++) {
		char path[400];
		int fd;

		world_begin(1);
		CU_ASSERT_EQUAL(world_stop(), 0);
		(void)snprintf(path, sizeof(path), "%s/%s", w.dir, file[i]);
		fd = open(path, O_WRONLY);
		CU_ASSERT_EQUAL(pwrite(fd, "!", 1, 15), 1);
		(void)close(fd);
		w.err.text[0] = 0;
		CU_ASSERT_EQUAL(world_open(), -EBADMSG);
		CU_ASSERT_TRUE(strstr(w.err.text, file[i]) != NULL);
		CU_ASSERT_TRUE(in_dir("t-0"));
		world_end();
	}
}

static void
a_clean_stop_writes_kafkas_checkpoints(void)
{
	char path[400], text[200] = "";
	FILE *f;

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 4});
	CU_ASSERT_EQUAL(world_stop(), 0);
	(void)snprintf(path, sizeof(path), "%s/recovery-point-offset-checkpoint", w.dir);
	f = fopen(path, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	(void)!fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	CU_ASSERT_STRING_EQUAL(text, "0\n1\nt 0 4\n");
	world_end();
}

static int
lose_a_name_of_the_root(enum io_kind kind, int fd, const char *name)
{
	if (kind == IO_RENAMEAT && strcmp(name, "kira.state") == 0 && fake.lost == 0)
		fake_io_lose(fd);
	return 0;
}

/* kira.state is written again; a topic's directory that was lost with it must not count. */
static void
a_directory_that_lost_the_name_of_kira_state_says_so_to_the_next_create(void)
{
	world_begin(1);
	fake.hook = lose_a_name_of_the_root;
	w.s->flush.state_moved = true;
	world_turns(12000);
	CU_ASSERT_EQUAL(fake.lost, 1);
	CU_ASSERT_EQUAL(counter_read(&w.count.file_failures), 1);
	CU_ASSERT_EQUAL(world_create("other", 1), -EIO);
	CU_ASSERT_EQUAL(world_create("other", 1), 0); /* made anew, and that is on the disk */
	world_end();
}

/* Whoever writes kira.state now for another reason, before a power cut: the catalogue still has the topic. */
static unsigned rows_seen;

static int
state_before_the_catalogue(enum io_kind kind, int fd, const char *name)
{
	char *text;

	if (kind != IO_RENAMEAT || strcmp(name, "kira.topics") != 0)
		return 0;
	text = directory_state(w.s, false, w.wall_ms);
	rows_seen += strstr(text, " 4 4 ok") != NULL; /* start, durable end */
	free(text);
	return -ENOSPC;
}

static void
kira_state_forgets_a_topic_after_the_catalogue_has(void)
{
	struct storage_op op = {.kind = OP_DELETE_RECORDS, .part = w.part, .offset = 4};
	char *text;

	world_begin(1);
	(void)world_append(0, (struct batch_of){.count = 4});
	storage_submit(w.s, &op);
	world_settle();
	CU_ASSERT_PTR_EQUAL_FATAL(storage_reap(w.s), &op);
	rows_seen = 0;
	fake.hook = state_before_the_catalogue;
	CU_ASSERT_EQUAL(world_delete(), -ENOSPC);
	CU_ASSERT_EQUAL(rows_seen, 1);
	fake.hook = NULL;
	CU_ASSERT_EQUAL(world_delete(), 0);
	world_turns(6000);
	CU_ASSERT_EQUAL_FATAL(layout_read_text(&io_posix, w.s->dirfd, "state", &text), 0);
	CU_ASSERT_PTR_NULL(strstr(text, "\np t 0 "));
	free(text);
	world_end();
}

static const struct ut_test tests[] = {
	UT("topics", a_topic_that_was_created_is_found_after_a_restart),
	UT("topics", a_topic_can_be_deleted_and_created_again_and_begins_at_0),
	UT("topics", a_deleted_topics_producers_are_forgotten),
	UT("topics", a_create_that_finds_the_disk_full_is_undone_and_works_later),
	UT("topics", what_was_appended_is_synced_before_its_topic_goes),
	UT("topics", a_delete_does_not_wait_for_the_next_commit_but_begins_one),
	UT("topics", a_create_that_fails_at_any_call_can_be_repeated),
	UT("topics", a_topic_that_grew_keeps_what_it_had_and_has_more_after_a_restart),
	UT("topics", a_growth_that_fails_at_any_call_changes_nothing_or_all),
	UT("topics", a_growth_cut_short_by_a_kill_leaves_the_topic_as_it_was),
	UT("topics", a_topic_with_more_partitions_than_slots_is_refused),
	UT("topics", a_directory_that_is_no_topic_of_the_catalogue_is_left_alone),
	UT("topics", a_deletion_that_was_cut_short_is_finished_at_the_next_start),
	UT("topics", a_deletion_that_did_not_reach_the_catalogue_never_was),
	UT("topics", a_topic_that_could_not_be_deleted_is_there_again),
	UT("topics", segments_that_go_with_their_topic_are_counted),
	UT("topics", what_cannot_be_removed_is_in_nobodys_way),
	UT("directory", a_directory_that_lost_the_name_of_kira_state_says_so_to_the_next_create),
	UT("topics", kira_state_forgets_a_topic_after_the_catalogue_has),
	UT("directory", producer_ids_that_were_spent_stay_spent),
	UT("directory", a_second_broker_on_the_directory_is_refused),
	UT("directory", a_directory_with_other_files_or_a_memory_file_system_is_refused),
	UT("directory", damaged_files_of_the_directory_are_named),
	UT("directory", a_clean_stop_writes_kafkas_checkpoints),
};

UT_MAIN(tests)
