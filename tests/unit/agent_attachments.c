// SPDX-License-Identifier: GPL-2.0-or-later
/* The agent's memory of volumes, when there is much of it. */
#include "attachments.h"
#include "header_fixture.h"

#define LONG_BYTES (17u << 20)	/* 130 of the longest headers */

static char folder[] = "/tmp/attachments-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static void long_memory(void **state)
{
	struct attachment new = { .uid = 7, .stage = ATTACHMENT_ATTACHED,
				  .name = "long", .volume_id = VOLUME_ID,
				  .uuid = "01234567-89ab-cdef-0123-456789abcdef" };
	struct attachments *list = NULL;
	struct attachment *a = NULL;
	char *text = malloc(LONG_BYTES);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', LONG_BYTES);
	new.more = json_pack("{s:s%}", "header", text, (size_t)LONG_BYTES);
	assert_non_null(new.more);
	assert_int_equal(attachments_load(folder, &list), 0);
	assert_int_equal(attachments_add(list, &new, &a), 0);
	json_decref(new.more);
	attachments_free(list);
	list = NULL;
	assert_int_equal(attachments_load(folder, &list), 0);
	a = attachments_find(list, "long");
	assert_non_null(a);
	assert_int_equal(json_string_length(json_object_get(a->more, "header")),
			 LONG_BYTES);
	attachments_free(list);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "agent-attachments-many-long-headers-are-read-again",
		  long_memory, NULL, NULL, NULL },
	};

	return cmocka_run_group_tests_name("agent_attachments", tests,
					   make_folder, remove_folder);
}
