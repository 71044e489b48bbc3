// SPDX-License-Identifier: GPL-2.0-or-later
/* Which SQLite connection a thread works with, and its statements. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "store_index.h"
#include "store_kept.h"
#include "store_private.h"

#define READERS_MAX 8
#define STATEMENTS 160 /* kept by a connection: more than there are texts */
#define PARTS 2       /* the database, and that of the subkeys */
#define BUSY_MS 5000

/*
 * FULL makes a commit in WAL mode durable before it returns; secure_delete
 * overwrites what is deleted.
 */
static const char writer_pragmas[] =
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
	"PRAGMA secure_delete=ON; PRAGMA foreign_keys=ON;"
	"PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;";

static const char reader_pragmas[] =
	"PRAGMA query_only=ON; PRAGMA trusted_schema=OFF;"
	"PRAGMA temp_store=MEMORY; PRAGMA cache_size=-600;";

/*
 * A statement that is kept: to prepare it costs more than all else that a
 * request does. Texts are constants of the program, known by their address.
 */
struct statement {
	const char *sql;
	sqlite3_stmt *stmt;
	bool busy;          /* between store_query() and store_finish() */
};

struct connection {
	sqlite3 *db;
	struct connection *next; /* of the idle readers */
	struct statement statements[STATEMENTS];
	size_t count;            /* of them, in use from the front */
	struct kept *kept;       /* what it has read; NULL: nothing yet */
	int64_t version;         /* of the database, when that was true */
	sqlite3_stmt *held;      /* an idle reader's last moment; NULL: none */
	struct index_head seen;  /* as its moment began */
	bool holds;              /* seen is known */
};

struct store {
	char *path;
	int part;                   /* of mine[] */
	struct store *subkeys;      /* NULL in that one itself */
	pthread_mutex_t write_lock; /* writer; recursive */
	struct connection *writer;
	const volatile uint32_t *index; /* changes with commits; or NULL */
	pthread_mutex_t read_lock;  /* idle, what they hold, readers, writing */
	pthread_cond_t freed;       /* an idle reader has come back */
	struct connection *idle;
	unsigned int readers;       /* open, idle or not */
	bool writing;               /* idle readers hold no moment */
};

/*
 * What this thread has got by store_lock() or store_write_lock(). A writer
 * reads what it has written, everybody else what has been committed, without
 * waiting for a writer that waits for the disk.
 */
static _Thread_local struct mine {
	struct connection *connection; /* NULL: none */
	unsigned int depth;
	bool writes;
	sqlite3_stmt *moment;      /* holds one for all it reads; NULL: none */
	struct connection *reader; /* it had, as it began to write */
	unsigned int reader_depth;
} mine[PARTS];

static sqlite3 *database(const struct store *s)
{
	const struct connection *c = mine[s->part].connection;

	return c ? c->db : s->writer->db;
}

int store_convert(struct store *s, int rc, const char *what)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	}
	log_error("database: %s: %s", what, sqlite3_errmsg(database(s)));
	return (rc & 0xff) == SQLITE_FULL ? -ENOSPC : -EIO;
}

static void disconnect(struct connection *c)
{
	size_t i;

	if (!c)
		return;
	for (i = 0; i < c->count; i++)
		sqlite3_finalize(c->statements[i].stmt);
	kept_free(c->kept);
	sqlite3_close(c->db);
	free(c);
}

static int open_connection(const char *path, int flags, const char *pragmas,
			   struct connection **ret)
{
	struct connection *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return SQLITE_NOMEM;
	rc = sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_READWRITE |
			     SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_busy_timeout(c->db, BUSY_MS);
		sqlite3_extended_result_codes(c->db, 1);
		rc = sqlite3_exec(c->db, pragmas, NULL, NULL, NULL);
	}
	if (rc != SQLITE_OK) {
		log_error("database: %s: %s", path, c->db ?
			  sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
		disconnect(c);
		return rc;
	}
	*ret = c;
	return SQLITE_OK;
}

static void init_locks(struct store *s)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&s->write_lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&s->read_lock, NULL);
	pthread_cond_init(&s->freed, NULL);
}

/* Nobody reads SQLite's sums of its memory, and each block waits for them. */
static void configure_sqlite(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int connect_part(const char *path, int flags, int part,
			struct store **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct store *s = calloc(1, sizeof(*s));
	int rc = SQLITE_NOMEM;

	if (!s)
		return -ENOMEM;
	pthread_once(&once, configure_sqlite);
	s->part = part;
	init_locks(s);
	s->path = strdup(path);
	if (s->path)
		rc = open_connection(path, flags, writer_pragmas, &s->writer);
	if (rc != SQLITE_OK) {
		store_close(s);
		rc &= 0xff;
		return rc == SQLITE_NOMEM ? -ENOMEM :
		       rc == SQLITE_BUSY ? -EBUSY :
		       rc == SQLITE_FULL ? -ENOSPC : -EIO;
	}
	s->index = store_index_find(s->writer->db);
	*ret = s;
	return 0;
}

int store_connect(const char *path, int flags, struct store **ret)
{
	return connect_part(path, flags, 0, ret);
}

int store_connect_subkeys(struct store *s, const char *path)
{
	return connect_part(path, SQLITE_OPEN_CREATE, 1, &s->subkeys);
}

struct store *store_subkeys(struct store *s)
{
	return s->subkeys;
}

void store_close(struct store *s)
{
	struct connection *c;

	if (!s)
		return;
	store_close(s->subkeys);
	while ((c = s->idle)) {
		s->idle = c->next;
		disconnect(c);
	}
	disconnect(s->writer);
	pthread_mutex_destroy(&s->write_lock);
	pthread_mutex_destroy(&s->read_lock);
	pthread_cond_destroy(&s->freed);
	free(s->path);
	free(s);
}

const char *store_path(const struct store *s)
{
	return s->path;
}

static void finish_of(struct connection *c, sqlite3_stmt *stmt)
{
	size_t i;

	for (i = 0; i < c->count && c->statements[i].stmt != stmt; i++)
		;
	if (i == c->count) {
		sqlite3_finalize(stmt);
		return;
	}
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	c->statements[i].busy = false;
}

static void end_held(struct connection *c)
{
	if (c->held)
		finish_of(c, c->held);
	c->held = NULL;
}

/* NULL: it cannot be opened now. */
static struct connection *take_reader(struct store *s)
{
	struct connection *c = NULL;

	pthread_mutex_lock(&s->read_lock);
	while (!s->idle && s->readers == READERS_MAX)
		pthread_cond_wait(&s->freed, &s->read_lock);
	if (s->idle) {
		c = s->idle;
		s->idle = c->next;
	} else {
		s->readers++;
	}
	pthread_mutex_unlock(&s->read_lock);
	if (c || open_connection(s->path, 0, reader_pragmas, &c) == SQLITE_OK)
		return c;
	pthread_mutex_lock(&s->read_lock);
	s->readers--;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->read_lock);
	return NULL;
}

static void give_reader(struct store *s, struct connection *c)
{
	pthread_mutex_lock(&s->read_lock);
	if (s->writing)
		end_held(c);
	c->next = s->idle;
	s->idle = c;
	pthread_cond_signal(&s->freed);
	pthread_mutex_unlock(&s->read_lock);
}

/* The read lock is held. */
static void end_idle(struct store *s)
{
	struct connection *c;

	for (c = s->idle; c; c = c->next)
		end_held(c);
}

/*
 * A moment that an idle reader holds would keep the WAL from being begun again,
 * and what is deleted from leaving it.
 */
static void set_writing(struct store *s, bool writing)
{
	pthread_mutex_lock(&s->read_lock);
	s->writing = writing;
	if (writing)
		end_idle(s);
	pthread_mutex_unlock(&s->read_lock);
}

void store_write_lock(struct store *s)
{
	struct mine *m = &mine[s->part];

	pthread_mutex_lock(&s->write_lock);
	if (!m->writes)
		set_writing(s, true);
	if (m->depth && !m->writes) {
		m->reader = m->connection;
		m->reader_depth = m->depth;
		m->depth = 0;
	}
	m->connection = s->writer;
	m->writes = true;
	m->depth++;
}

/* @keeps: what the reader holds is looked at by the caller. */
static void lock_to_read(struct store *s, bool keeps)
{
	struct mine *m = &mine[s->part];
	struct connection *reader;

	if (m->depth) {
		if (m->writes)
			pthread_mutex_lock(&s->write_lock);
		m->depth++;
		return;
	}
	reader = take_reader(s);
	if (!reader) {
		store_write_lock(s);
		return;
	}
	if (!keeps)
		end_held(reader);
	m->connection = reader;
	m->writes = false;
	m->depth = 1;
}

void store_lock(struct store *s)
{
	lock_to_read(s, false);
}

int store_prepare(struct store *s, const char *sql, sqlite3_stmt **ret)
{
	struct connection *c = mine[s->part].connection;
	sqlite3_stmt *stmt = NULL;
	size_t i;
	int rc;

	for (i = 0; i < c->count; i++) {
		if (c->statements[i].sql != sql || c->statements[i].busy)
			continue;
		c->statements[i].busy = true;
		*ret = c->statements[i].stmt;
		return SQLITE_OK;
	}
	rc = sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL);
	if (rc != SQLITE_OK)
		return rc;
	if (c->count < STATEMENTS)
		c->statements[c->count++] =
			(struct statement){ sql, stmt, true };
	*ret = stmt;
	return SQLITE_OK;
}

/* Which of this thread's connections a statement belongs to. */
static struct connection *owner_of(sqlite3_stmt *stmt)
{
	int part;

	for (part = 0; part < PARTS - 1; part++)
		if (mine[part].connection &&
		    mine[part].connection->db == sqlite3_db_handle(stmt))
			break;
	return mine[part].connection;
}

void store_finish(sqlite3_stmt *stmt)
{
	if (stmt)
		finish_of(owner_of(stmt), stmt);
}

/*
 * A statement that has not ended holds the moment at which it began, for all
 * that its connection reads. This one tells, too, whether anybody, of this
 * process or another, has committed since the connection read before: what it
 * has kept is true until then and no longer.
 */
static sqlite3_stmt *begin_moment(struct store *s)
{
	struct connection *c = mine[s->part].connection;
	bool seen = store_index_read(s->index, &c->seen);
	sqlite3_stmt *stmt = NULL;
	struct index_head now;
	int64_t version;

	if (store_prepare(s, "PRAGMA data_version", &stmt) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW) {
		store_finish(stmt);
		return NULL;
	}
	version = sqlite3_column_int64(stmt, 0);
	if (version != c->version)
		kept_forget(c->kept);
	c->version = version;
	c->holds = seen && store_index_read(s->index, &now) &&
		   store_index_same(&now, &c->seen);
	return stmt;
}

/*
 * A moment is of use to the next who reads, for as long as nobody commits: it
 * saves him to lock the database, and to look whether it has changed.
 */
static sqlite3_stmt *resume_moment(struct store *s)
{
	struct connection *c = mine[s->part].connection;
	sqlite3_stmt *stmt = c->held;
	struct index_head now;

	if (!stmt)
		return begin_moment(s);
	if (!store_index_read(s->index, &now)) {
		/* Somebody commits, or died of it: nobody is in SQLite's way. */
		pthread_mutex_lock(&s->read_lock);
		end_idle(s);
		pthread_mutex_unlock(&s->read_lock);
	} else if (store_index_same(&now, &c->seen)) {
		c->held = NULL;
		return stmt;
	}
	end_held(c);
	return begin_moment(s);
}

void store_unlock(struct store *s)
{
	struct mine *m = &mine[s->part];
	struct connection *c = m->connection;
	bool writes = m->writes, lost = false;

	if (--m->depth == 0) {
		m->connection = writes ? m->reader : NULL;
		m->depth = writes ? m->reader_depth : 0;
		m->writes = false;
		m->reader = NULL;
		m->reader_depth = 0;
		if (!writes) {
			give_reader(s, c);
		} else if (m->moment) {
			/* What was written is read from now on. */
			store_finish(m->moment);
			m->moment = begin_moment(s);
			lost = !m->moment;
		}
	}
	if (writes && !m->writes)
		set_writing(s, false);
	if (writes)
		pthread_mutex_unlock(&s->write_lock);
	/* Nobody will end a moment that there is not. */
	if (lost)
		store_unlock(s);
}

void store_read_begin(struct store *s)
{
	struct mine *m = &mine[s->part];

	if (m->moment)
		return;
	lock_to_read(s, true);
	if (m->depth == 1 && !m->writes)
		m->moment = resume_moment(s);
	if (!m->moment)
		store_unlock(s);
}

void store_read_end(struct store *s)
{
	struct mine *m = &mine[s->part];

	if (!m->moment)
		return;
	if (m->depth == 1 && !m->writes && m->connection->holds)
		m->connection->held = m->moment;
	else
		store_finish(m->moment);
	m->moment = NULL;
	store_unlock(s);
}

struct kept *store_kept(struct store *s)
{
	const struct mine *m = &mine[s->part];

	if (!m->moment || m->writes)
		return NULL;
	if (!m->connection->kept)
		m->connection->kept = kept_new();
	return m->connection->kept;
}

int store_execute(struct store *s, const char *sql)
{
	int rc;

	store_write_lock(s);
	rc = store_convert(s, sqlite3_exec(database(s), sql, NULL, NULL,
					   NULL), sql);
	store_unlock(s);
	return rc;
}

static int read_only(struct store *s, struct connection *c, const char *sql)
{
	int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		log_error("database: %s: %s", s->path, sqlite3_errmsg(c->db));
	return rc == SQLITE_OK ? 0 : rc == SQLITE_NOMEM ? -ENOMEM : -EIO;
}

/* A reader sees what was committed when it read for the first time. */
static int begin_snapshot(struct store *s, struct connection *c,
			  int (*still)(void *arg), void *arg)
{
	int rc = store_begin(s);

	if (rc < 0)
		return rc;
	rc = still(arg);
	if (rc == 0)
		rc = read_only(s, c, "BEGIN; SELECT count(*) FROM setting");
	store_rollback(s);
	return rc;
}

int store_snapshot(struct store *s, int (*still)(void *arg), void *arg,
		   uint8_t **ret, size_t *bytes_ret)
{
	struct connection *c = take_reader(s);
	sqlite3_int64 bytes = 0;
	unsigned char *data = NULL;
	int rc = -EIO;

	if (c) {
		end_held(c);
		rc = begin_snapshot(s, c, still, arg);
	}
	if (rc == 0) {
		data = sqlite3_serialize(c->db, "main", &bytes, 0);
		rc = data ? 0 : -ENOMEM;
	}
	if (c && !sqlite3_get_autocommit(c->db))
		read_only(s, c, "ROLLBACK");
	if (c)
		give_reader(s, c);
	if (rc < 0)
		return rc;
	*ret = data;
	*bytes_ret = (size_t)bytes;
	return 0;
}

void store_snapshot_free(uint8_t *data)
{
	sqlite3_free(data);
}

static int truncate_log(struct store *s)
{
	int rc;

	store_write_lock(s);
	rc = sqlite3_wal_checkpoint_v2(database(s), NULL,
				       SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	rc = store_convert(s, rc, "checkpoint");
	store_unlock(s);
	return rc;
}

int store_truncate_log(struct store *s)
{
	int rc = truncate_log(s);

	return rc < 0 ? rc : truncate_log(s->subkeys);
}
