// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the passes over each byte of a rekeyed copy cost by themselves: bytes a
 * second of each, and of all of them in their order, by so many threads at once,
 * each with a chunk of its own.
 *
 *   snapshot_passes THREADS MILLISECONDS
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "crc.h"

#define CHUNK_BYTES (512u << 10)
#define BLOCK_BYTES 4096
#define MAX_THREADS 64

struct thread {
	pthread_t id;
	EVP_CIPHER_CTX *ciphers[2];	/* decrypt, encrypt */
	EVP_MD_CTX *digest;
	uint8_t *in, *plain, *out;
	uint64_t bytes;
};

typedef int (*pass)(struct thread *t);

static atomic_bool stop;
static pass running;
static volatile uint32_t sink;

/* As for a volume: an IV a block. */
static int run_cipher(EVP_CIPHER_CTX *ctx, const uint8_t *in, uint8_t *out)
{
	uint8_t iv[16] = { 0 };
	size_t at;
	int n;

	for (at = 0; at < CHUNK_BYTES; at += BLOCK_BYTES) {
		iv[0]++;
		if (!EVP_CipherInit_ex(ctx, NULL, NULL, NULL, iv, -1) ||
		    !EVP_CipherUpdate(ctx, out + at, &n, in + at, BLOCK_BYTES))
			return -1;
	}
	return 0;
}

static int run_decrypt(struct thread *t)
{
	return run_cipher(t->ciphers[0], t->in, t->plain);
}

static int run_encrypt(struct thread *t)
{
	return run_cipher(t->ciphers[1], t->plain, t->out);
}

static int hash(struct thread *t, const uint8_t *p)
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	return EVP_DigestInit_ex(t->digest, EVP_sha256(), NULL) &&
	       EVP_DigestUpdate(t->digest, p, CHUNK_BYTES) &&
	       EVP_DigestFinal_ex(t->digest, digest, NULL) ? 0 : -1;
}

static int run_sha256(struct thread *t)
{
	return hash(t, t->in);
}

static int run_crc(struct thread *t)
{
	sink = crc32c(t->plain, CHUNK_BYTES);
	return 0;
}

static int run_all(struct thread *t)
{
	return run_sha256(t) || run_decrypt(t) || run_crc(t) ||
	       run_encrypt(t) || run_crc(t) || hash(t, t->out) ? -1 : 0;
}

static void *work(void *user)
{
	struct thread *t = user;

	t->bytes = 0;
	while (!stop) {
		if (running(t) < 0)
			abort();
		t->bytes += CHUNK_BYTES;
	}
	return NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double measure(struct thread *threads, unsigned int n,
		      unsigned int milliseconds, pass p)
{
	uint64_t bytes = 0;
	unsigned int i;
	double began;

	stop = false;
	running = p;
	began = now();
	for (i = 0; i < n; i++)
		if (pthread_create(&threads[i].id, NULL, work, &threads[i]))
			abort();
	usleep(milliseconds * 1000);
	stop = true;
	for (i = 0; i < n; i++) {
		pthread_join(threads[i].id, NULL);
		bytes += threads[i].bytes;
	}
	return bytes / (now() - began);
}

static uint8_t *random_chunk(void)
{
	uint8_t *p = aligned_alloc(4096, CHUNK_BYTES);

	if (!p || RAND_bytes(p, CHUNK_BYTES) != 1)
		abort();
	return p;
}

static EVP_CIPHER_CTX *new_cipher(int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t key[64];

	if (!ctx || RAND_bytes(key, sizeof(key)) != 1 ||
	    !EVP_CipherInit_ex(ctx, EVP_aes_256_xts(), NULL, key, NULL,
			       encrypt))
		abort();
	return ctx;
}

static void set_up(struct thread *t)
{
	t->in = random_chunk();
	t->plain = random_chunk();
	t->out = random_chunk();
	t->ciphers[0] = new_cipher(0);
	t->ciphers[1] = new_cipher(1);
	t->digest = EVP_MD_CTX_new();
	if (!t->digest)
		abort();
}

int main(int argc, char **argv)
{
	static struct thread threads[MAX_THREADS];
	static const struct {
		const char *name;
		pass pass;
	} passes[] = {
		{ "decrypt", run_decrypt },
		{ "encrypt", run_encrypt },
		{ "sha256", run_sha256 },
		{ "crc32c", run_crc },
		{ "all", run_all },
	};
	unsigned int n, milliseconds, i;

	n = argc == 3 ? atoi(argv[1]) : 0;
	milliseconds = argc == 3 ? atoi(argv[2]) : 0;
	if (n == 0 || n > MAX_THREADS || milliseconds == 0)
		return 2;
	for (i = 0; i < n; i++)
		set_up(&threads[i]);
	for (i = 0; i < sizeof(passes) / sizeof(passes[0]); i++)
		printf("%s %.0f\n", passes[i].name,
		       measure(threads, n, milliseconds, passes[i].pass));
	return 0;
}
