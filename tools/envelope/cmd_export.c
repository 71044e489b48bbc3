// SPDX-License-Identifier: GPL-2.0-or-later
/* envelope export: decrypt a volume in user space, with no module at all. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "chunk.h"
#include "cipher.h"
#include "cmd.h"
#include "log.h"
#include "new_file.h"
#include "status.h"

#define CHUNK_BYTES (1u << 20)	/* a multiple of every sector size */

/* Where the plaintext goes. */
struct output {
	int fd;
	const char *name;
	bool seekable;		/* a file: zeros are left out */
};

static int write_chunk(const struct output *out, const uint8_t *p, size_t bytes,
		       uint64_t at)
{
	if (out->seekable && cipher_all_zero(p, bytes))
		return 0;
	while (bytes > 0) {
		ssize_t n = out->seekable ? pwrite(out->fd, p, bytes, at) :
					    write(out->fd, p, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_error("'%s': cannot write: %s", out->name,
				  n < 0 ? strerror(errno) : "no space");
			return -EIO;
		}
		p += n;
		bytes -= n;
		at += n;
	}
	return 0;
}

/* In pieces of the file system's block, so that holes inside a chunk count. */
static int write_pieces(const struct output *out, const uint8_t *p,
			size_t bytes, uint64_t at)
{
	const size_t piece = out->seekable ? 64u << 10 : bytes;
	size_t done, n;
	int r = 0;

	for (done = 0; done < bytes && r == 0; done += n) {
		n = bytes - done < piece ? bytes - done : piece;
		r = write_chunk(out, p + done, n, at + done);
	}
	return r;
}

static void tell(uint64_t done_bytes, uint64_t total_bytes)
{
	cli_progress(&(struct pipeline_progress){
		.what = "export",
		.done_bytes = done_bytes,
		.total_bytes = total_bytes,
		.moved_bytes = done_bytes,
	});
}

static int copy_all(const struct volume *v, const struct secret *dek,
		    const struct output *out, uint8_t *buffer)
{
	const struct header_core *core = header_core(v->header);
	uint64_t at;
	size_t n;
	int r = 0;

	for (at = 0; at < core->size_bytes && r == 0; at += n) {
		n = CHUNK_BYTES;
		if (core->size_bytes - at < n)
			n = core->size_bytes - at;
		r = device_read_at(v->device.fd, v->device.path, buffer, n,
				   core->data_offset_bytes + at);
		if (r == 0)
			r = chunk_decrypt(core, dek, at, buffer, buffer, n);
		if (r == 0)
			r = write_pieces(out, buffer, n, at);
		if (r == 0)
			tell(at + n, core->size_bytes);
	}
	return r;
}

static int finish(const struct output *out, uint64_t size_bytes)
{
	if (!out->seekable)
		return 0;
	if (ftruncate(out->fd, size_bytes) == 0 && fsync(out->fd) == 0)
		return 0;
	log_error("'%s': cannot write: %s", out->name, strerror(errno));
	return -EIO;
}

static int decrypt_to(const struct volume *v, const struct secret *dek,
		      const struct output *out)
{
	uint8_t *buffer = malloc(CHUNK_BYTES);
	int r;

	if (!buffer) {
		log_error("out of memory");
		return -ENOMEM;
	}
	r = copy_all(v, dek, out, buffer);
	if (r == 0)
		r = finish(out, header_core(v->header)->size_bytes);
	wipe(buffer, CHUNK_BYTES);
	free(buffer);
	return r;
}

/* Half a volume is easily taken for a whole one: the name comes last. */
static int to_file(const struct volume *v, const struct secret *dek,
		   const char *path)
{
	struct output out = { .seekable = true };
	struct new_file file;
	int r = new_file_begin(path, &file);

	if (r < 0)
		return r;
	out.fd = file.device.fd;
	out.name = file.device.path;
	return new_file_end(&file, decrypt_to(v, dek, &out));
}

static int export(const char *device, const char *header,
		  const struct volume_access *access, const char *path,
		  bool force)
{
	const struct output standard = { STDOUT_FILENO, "standard output",
					 false };
	struct volume v = VOLUME_CLOSED;
	struct dm_volume_status status;
	struct secret *dek = NULL;
	bool to_standard = strcmp(path, "-") == 0;
	const char *volume_id;
	int r;

	r = to_standard ? 0 : new_file_check(path);
	if (r == 0)
		r = volume_open(device, header, force ? VOLUME_FORCE : 0, &v);
	if (r < 0)
		return r;
	volume_id = header_core(v.header)->volume_id;
	if (volume_find_id(volume_id, &status) == 0)
		log_warn("%s is attached as '%s': what is written meanwhile may be torn",
			 volume_id, status.volume.name);
	cli_patience_begin();
	r = volume_unwrap(&v, access, &dek);
	cli_patience_end();
	if (r < 0)
		audit_verb_ended("export", path, volume_id, r);
	else
		r = audit_verb("export", path, volume_id);
	if (r == 0 && to_standard)
		r = decrypt_to(&v, dek, &standard);
	else if (r == 0)
		r = to_file(&v, dek, path);
	secret_free(dek);
	volume_close(&v);
	return r;
}

int cmd_export(int argc, char **argv)
{
	struct volume_access access = { .conf.environment = true };
	const char *header = NULL, *recovery = NULL;
	struct secret *key = NULL;
	bool force = false;
	const struct cli_option options[] = {
		CLI_HEADER_OPTION(&header),
		{ "force", NULL, cli_set_true, &force,
		  "go on if the header names another device" },
		CLI_RECOVERY_OPTION(&recovery),
		CLI_PROGRESS_OPTION,
		CLI_ACCESS_OPTIONS(&access),
		{ 0 },
	};
	const struct cli_usage usage = {
		.verb = "export",
		.arguments = "DEVICE FILE",
		.about = "Decrypt DEVICE into FILE, which must not exist, or to standard output (-),\n"
			 "in user space: no kernel module and no root is needed, only the KMS. The\n"
			 "result is PLAINTEXT. Holes become zeros, and FILE is sparse.\n",
		.min_arguments = 2,
		.max_arguments = 2,
		.options = options,
	};
	char **args;
	int r;

	r = cli_parse(&usage, argc, argv, &args);
	if (r != CLI_GO_ON)
		return r;
	if (strcmp(args[1], "-") == 0 && isatty(STDOUT_FILENO))
		return cli_usage_error("export", "standard output is a terminal: name a file, or send it elsewhere");
	r = cli_read_recovery(recovery, &key);
	access.recovery = key;
	if (r == 0)
		r = export(args[0], header, &access, args[1], force);
	secret_free(key);
	return status_from_errno(r);
}
