// SPDX-License-Identifier: GPL-2.0-or-later
/* The texts that init and serve print for the person at the terminal. */
#include "guide.h"

#include <stdio.h>
#include <stdlib.h>

#include "files.h"
#include "region.h"

char *guide_conf(const struct guide *g)
{
	const char *list = g->regions;
	char region[REGION_BYTES];
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	while (region_next(&list, region))
		fprintf(out,
			"%s[region %s]\n"
			"endpoint = %s\n"
			"ca-file = %s/" FILE_CA "\n"
			"profile = " DEFAULT_PROFILE "\n"
			"default-key = " DEFAULT_ALIAS "\n"
			"allow-keys = arn:aws:kms:%s:%s:key/*\n",
			ftell(out) ? "\n" : "", region, g->endpoint, g->dir,
			region, g->account);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

void guide_print(const struct guide *g, bool serving)
{
	char *conf = guide_conf(g);
	const char *list = g->regions;
	char first[REGION_BYTES] = "";

	region_next(&list, first);
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
	       g->dir, first, g->endpoint, g->dir);
	printf("Keep %s safe: losing it loses every volume, for good. Who can read it\n"
	       "can decrypt every volume. Back it up where nobody else reads.\n",
	       g->dir);
	fflush(stdout);
	free(conf);
}
