// SPDX-License-Identifier: GPL-2.0
/* Decryption in softirq context by tasklets, where workqueues cannot do it. */

#include <linux/interrupt.h>
#include <linux/llist.h>
#include <linux/percpu.h>

#include "envelope.h"

/*
 * One tasklet a CPU, and not one in every bio: the tasklet code touches its
 * struct after the function has run, when the bio is long gone.
 */
struct softirq_queue {
	struct llist_head list;
	struct tasklet_struct tasklet;
};

static struct softirq_queue __percpu *softirq_queues;

static void softirq_run(struct tasklet_struct *tasklet)
{
	struct softirq_queue *queue = from_tasklet(queue, tasklet, tasklet);
	struct llist_node *node = llist_del_all(&queue->list);
	struct envelope_io *io, *next;

	node = llist_reverse_order(node);
	llist_for_each_entry_safe(io, next, node, node)
		envelope_read_decrypt(io);
}

void envelope_queue_softirq(struct envelope_io *io)
{
	struct softirq_queue *queue = get_cpu_ptr(softirq_queues);

	if (llist_add(&io->node, &queue->list))
		tasklet_schedule(&queue->tasklet);
	put_cpu_ptr(softirq_queues);
}

int envelope_softirq_init(void)
{
	int cpu;

	softirq_queues = alloc_percpu(struct softirq_queue);
	if (!softirq_queues)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct softirq_queue *queue = per_cpu_ptr(softirq_queues, cpu);

		init_llist_head(&queue->list);
		tasklet_setup(&queue->tasklet, softirq_run);
	}
	return 0;
}

void envelope_softirq_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		tasklet_kill(&per_cpu_ptr(softirq_queues, cpu)->tasklet);
	free_percpu(softirq_queues);
}
