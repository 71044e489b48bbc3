// SPDX-License-Identifier: GPL-2.0
/*
 * One bug of each kind that the debug kernel must report, made on purpose
 * when its name is written to the module parameter "make".
 */

#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);

/* where the compiler cannot see that a pointer or a number is wrong */
static void *volatile place;
static volatile int number;

static void use_after_free(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	place = p;
	kfree(p);
	pr_info("read %d\n", *(volatile char *)place);
}

static void out_of_bounds(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	place = p;
	if (p)
		pr_info("read %d\n", *((volatile char *)place + 64));
	kfree(p);
}

static void lock_inversion(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void sleep_in_atomic(void)
{
	spin_lock(&spin);
	might_sleep();
	spin_unlock(&spin);
}

static void bad_shift(void)
{
	number = 33;
	pr_info("shifted %d\n", 1 << number);
}

static void leak(void)
{
	/* each overwrites the last, so that no register still has them all */
	for (number = 0; number < 8; number++)
		place = kmalloc(96, GFP_KERNEL);
	place = NULL;
}

static void nothing(struct work_struct *work)
{
}

static void freed_work(void)
{
	struct delayed_work *work = kzalloc(sizeof(*work), GFP_KERNEL);

	if (!work)
		return;
	INIT_DELAYED_WORK(work, nothing);
	schedule_delayed_work(work, 1000 * HZ);
	kfree(work);
}

/* plain, so that two who write it at once race */
static int raced;

static noinline void make_race(void)
{
	int i;

	for (i = 0; i < 100; i++) {
		raced++;
		/* or the compiler makes one addition of them all */
		barrier();
	}
}

static int race_on(void *unused)
{
	while (!kthread_should_stop()) {
		make_race();
		cond_resched();
	}
	return 0;
}

static void data_race_with_thread(void)
{
	struct task_struct *other = kthread_run(race_on, NULL, "selftest");
	int i;

	if (IS_ERR(other))
		return;
	for (i = 0; i < 10000; i++) {
		make_race();
		cond_resched();
	}
	kthread_stop(other);
	pr_info("raced to %d\n", raced);
}

static void die(void)
{
	panic("selftest: asked to");
}

static const struct {
	const char *name;
	void (*make)(void);
} bugs[] = {
	{ "use-after-free", use_after_free },
	{ "out-of-bounds", out_of_bounds },
	{ "lock-inversion", lock_inversion },
	{ "sleep-in-atomic", sleep_in_atomic },
	{ "bad-shift", bad_shift },
	{ "leak", leak },
	{ "freed-work", freed_work },
	{ "data-race", data_race_with_thread },
	{ "panic", die },
};

static int make_bug(const char *name, const struct kernel_param *kp)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (sysfs_streq(name, bugs[i].name)) {
			bugs[i].make();
			return 0;
		}
	}
	return -EINVAL;
}

static const struct kernel_param_ops make_ops = {
	.set = make_bug,
};
module_param_cb(make, &make_ops, NULL, 0200);
MODULE_PARM_DESC(make, "The bug to make");

static int __init selftest_init(void)
{
	return 0;
}

static void __exit selftest_exit(void)
{
}

module_init(selftest_init);
module_exit(selftest_exit);

MODULE_DESCRIPTION("Bugs on purpose, to prove that they are found");
MODULE_LICENSE("GPL");
