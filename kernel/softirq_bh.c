// SPDX-License-Identifier: GPL-2.0
/* Decryption in softirq context by a bottom-half workqueue, Linux 6.9 and on. */

#include <linux/workqueue.h>

#include "envelope.h"

static struct workqueue_struct *softirq_wq;

static void softirq_work(struct work_struct *work)
{
	envelope_read_decrypt(container_of(work, struct envelope_io, work));
}

void envelope_queue_softirq(struct envelope_io *io)
{
	INIT_WORK(&io->work, softirq_work);
	queue_work(softirq_wq, &io->work);
}

int envelope_softirq_init(void)
{
	softirq_wq = alloc_workqueue("envelope_softirq", WQ_BH, 0);
	return softirq_wq ? 0 : -ENOMEM;
}

void envelope_softirq_exit(void)
{
	destroy_workqueue(softirq_wq);
}
