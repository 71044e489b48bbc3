// SPDX-License-Identifier: GPL-2.0-or-later
/* The texts that init and serve print for the person at the terminal. */
#include "guide.h"

#include <stdio.h>
#include <stdlib.h>

#include "files.h"

char *guide_conf(const struct guide *g)
{
	char *text = NULL;

	if (asprintf(&text,
		     "[region %s]\n"
		     "endpoint = %s\n"
		     "ca-file = %s/" FILE_CA "\n"
		     "profile = " DEFAULT_PROFILE "\n"
		     "default-key = " DEFAULT_ALIAS "\n"
		     "allow-keys = arn:aws:kms:%s:%s:key/*\n",
		     g->region, g->endpoint, g->dir, g->region,
		     g->account) < 0)
		return NULL;
	return text;
}

void guide_print(const struct guide *g, bool serving)
{
	char *conf = guide_conf(g);

	if (!serving)
		printf("Start the server:\n\n"
		       "    envelope-kms serve %s\n\n", g->dir);
	printf("Put this into /etc/envelope/envelope.conf on each host:\n\n%s\n",
	       conf ? conf : "");
	printf("Then, on a host that has that file:\n\n"
	       "    export AWS_SHARED_CREDENTIALS_FILE=%s/" FILE_CREDENTIALS "\n"
	       "    envelope format DEVICE\n"
	       "    envelope attach --direct DEVICE NAME\n\n"
	       "Any AWS client works too:\n\n"
	       "    aws --profile " DEFAULT_PROFILE " --region %s --endpoint-url %s --ca-bundle %s/" FILE_CA " kms list-aliases\n\n",
	       g->dir, g->region, g->endpoint, g->dir);
	printf("Keep %s safe: losing it loses every volume, for good. Who can read it\n"
	       "can decrypt every volume. Back it up where nobody else reads.\n",
	       g->dir);
	fflush(stdout);
	free(conf);
}
