// SPDX-License-Identifier: GPL-2.0
/*
 * One block of 4096 bytes in pieces of memory, as a driver in the kernel may
 * hand it down, and no program can. "VERB PATH SECTOR PIECE_BYTES" written to
 * the parameter "run": write a pattern, read and compare it, or require zeros.
 */

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#define BLOCK_BYTES	4096
#define PIECES_MAX	(BLOCK_BYTES / 256)

static struct page *pages[PIECES_MAX];

static u8 pattern(unsigned int at)
{
	return at * 7 + at / 512 + 1;
}

/* Each piece at the end of a page of its own, so that none are neighbours. */
static u8 *piece_at(unsigned int n, unsigned int bytes)
{
	return (u8 *)page_address(pages[n]) + PAGE_SIZE - bytes;
}

static void fill(unsigned int piece_bytes)
{
	unsigned int at;

	for (at = 0; at < BLOCK_BYTES; at++) {
		unsigned int n = at / piece_bytes;
		unsigned int bytes = min(piece_bytes, BLOCK_BYTES -
					 n * piece_bytes);

		piece_at(n, bytes)[at % piece_bytes] = pattern(at);
	}
}

static int compare(unsigned int piece_bytes, bool zeros)
{
	unsigned int at;

	for (at = 0; at < BLOCK_BYTES; at++) {
		unsigned int n = at / piece_bytes;
		unsigned int bytes = min(piece_bytes, BLOCK_BYTES -
					 n * piece_bytes);

		if (piece_at(n, bytes)[at % piece_bytes] !=
		    (zeros ? 0 : pattern(at)))
			return -EILSEQ;
	}
	return 0;
}

static int transfer(struct block_device *bdev, blk_opf_t op, sector_t sector,
		    unsigned int piece_bytes)
{
	struct bio *bio = bio_alloc(bdev, PIECES_MAX, op, GFP_KERNEL);
	unsigned int left = BLOCK_BYTES, n;
	int r;

	bio->bi_iter.bi_sector = sector;
	for (n = 0; left; n++) {
		unsigned int bytes = min(piece_bytes, left);

		__bio_add_page(bio, pages[n], bytes, PAGE_SIZE - bytes);
		left -= bytes;
	}
	r = submit_bio_wait(bio);
	bio_put(bio);
	return r;
}

static int run_verb(const char *verb, struct block_device *bdev,
		    sector_t sector, unsigned int piece_bytes)
{
	int r;

	if (!strcmp(verb, "write")) {
		fill(piece_bytes);
		return transfer(bdev, REQ_OP_WRITE, sector, piece_bytes);
	}
	r = transfer(bdev, REQ_OP_READ, sector, piece_bytes);
	return r ? r : compare(piece_bytes, !strcmp(verb, "zeros"));
}

static int run(const char *text, const struct kernel_param *kp)
{
	char verb[8], path[64];
	unsigned int sector, piece_bytes;
	struct file *file;
	int r;

	if (sscanf(text, "%7s %63s %u %u", verb, path, &sector,
		   &piece_bytes) != 4 ||
	    piece_bytes < BLOCK_BYTES / PIECES_MAX || piece_bytes > BLOCK_BYTES)
		return -EINVAL;
	file = bdev_file_open_by_path(path, BLK_OPEN_READ | BLK_OPEN_WRITE,
				      NULL, NULL);
	if (IS_ERR(file))
		return PTR_ERR(file);
	r = run_verb(verb, file_bdev(file), sector, piece_bytes);
	fput(file);
	return r;
}

static const struct kernel_param_ops run_ops = {
	.set = run,
};
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "VERB PATH SECTOR PIECE_BYTES");

static void free_pages_of_pieces(void)
{
	unsigned int n;

	for (n = 0; n < PIECES_MAX; n++)
		if (pages[n])
			__free_page(pages[n]);
}

static int __init selftest_pieces_init(void)
{
	unsigned int n;

	for (n = 0; n < PIECES_MAX; n++) {
		pages[n] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!pages[n]) {
			free_pages_of_pieces();
			return -ENOMEM;
		}
	}
	return 0;
}

static void __exit selftest_pieces_exit(void)
{
	free_pages_of_pieces();
}

module_init(selftest_pieces_init);
module_exit(selftest_pieces_exit);

MODULE_DESCRIPTION("A block in pieces of memory");
MODULE_LICENSE("GPL");
