#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tags and descriptions of keys: limits, pages, errors, what is recorded."""
from server_fixture import ServerCase, b64
import tap

BEFORE = "validation error detected: Value"
AFTER = "failed to satisfy constraint: Member must"


def pairs(**tags):
    return [{"TagKey": k, "TagValue": v} for k, v in tags.items()]


class Tags(ServerCase):
    def tags(self, key):
        return {t["TagKey"]: t["TagValue"]
                for t in self.kms.list_resource_tags(KeyId=key)["Tags"]}

    def test_life_of_a_tag(self):
        key, arn = self.new_key(Tags=pairs(a="1", b=""))
        self.assertEqual({"a": "1", "b": ""}, self.tags(arn))
        self.kms.tag_resource(KeyId=arn, Tags=pairs(b="2", c="3"))
        self.assertEqual({"a": "1", "b": "2", "c": "3"}, self.tags(key))
        self.kms.untag_resource(KeyId=key, TagKeys=["a", "absent"])
        self.assertEqual({"b": "2", "c": "3"}, self.tags(key))
        other, _ = self.new_key()
        self.assertEqual({}, self.tags(other))
        self.server.restart()
        type(self).kms = self.server.client()
        self.assertEqual({"b": "2", "c": "3"}, self.tags(key))

    def test_refusals(self):
        key, _ = self.new_key()
        for tags, text in (
                (pairs(a="1") + pairs(a="2"), "Duplicate tag keys"),
                ([{"TagKey": f"k{i}", "TagValue": ""} for i in range(51)],
                 "Too many tags"),
                ([{"TagKey": "aws:x", "TagValue": ""}],
                 "Tags beginning with aws: are reserved")):
            for call in (self.kms.tag_resource, self.kms.create_key):
                options = {"KeyId": key} if call == self.kms.tag_resource \
                    else {}
                self.refused("TagException", text, call, Tags=tags,
                             **options)
        self.refused("TagException", "Tags beginning with aws: are reserved",
                     self.kms.untag_resource, KeyId=key, TagKeys=["aws:x"])
        self.assertEqual({}, self.tags(key))

    def test_fifty_tags_and_no_more(self):
        """tags-fifty-per-key-over-several-calls"""
        key, _ = self.new_key()
        many = [{"TagKey": f"k{i:02}", "TagValue": str(i)}
                for i in range(50)]
        self.kms.tag_resource(KeyId=key, Tags=many[:30])
        self.kms.tag_resource(KeyId=key, Tags=many[30:])
        self.refused("TagException", "Too many tags", self.kms.tag_resource,
                     KeyId=key, Tags=pairs(one="more"))
        self.kms.tag_resource(KeyId=key, Tags=pairs(k00="again"))
        self.assertEqual(50, len(self.tags(key)))

    def test_validation(self):
        key, _ = self.new_key()
        call = self.server.call
        for op, body, text in (
                ("TagResource", {"Tags": [{"TagKey": "", "TagValue": ""}]},
                 f"1 {BEFORE} '' at 'tags.1.member.tagKey' {AFTER} have length greater than or equal to 1"),
                ("TagResource", {"Tags": pairs(ok="") + [
                    {"TagKey": "k" * 129, "TagValue": "v" * 257}]},
                 f"2 validation errors detected: Value '{'k' * 129}' at 'tags.2.member.tagKey' {AFTER} have length less than or equal to 128; "
                 f"Value '{'v' * 257}' at 'tags.2.member.tagValue' {AFTER} have length less than or equal to 256"),
                ("TagResource", {"Tags": [{}]},
                 f"2 validation errors detected: Value null at 'tags.1.member.tagKey' {AFTER} not be null; Value null at 'tags.1.member.tagValue' {AFTER} not be null"),
                ("TagResource", {},
                 f"1 {BEFORE} null at 'tags' {AFTER} not be null"),
                ("UntagResource", {},
                 f"1 {BEFORE} null at 'tagKeys' {AFTER} not be null"),
                ("UntagResource", {"TagKeys": [""]},
                 f"1 {BEFORE} '' at 'tagKeys.1.member' {AFTER} have length greater than or equal to 1"),
                ("UpdateKeyDescription", {},
                 f"1 {BEFORE} null at 'description' {AFTER} not be null")):
            answer = call(op, {"KeyId": key, **body})
            self.assertEqual(("ValidationException", text),
                             (answer.code, answer.message))
        for op, body in (("TagResource", {"Tags": {}}),
                         ("TagResource", {"Tags": ["x"]}),
                         ("TagResource", {"Tags": [{"TagKey": 1,
                                                    "TagValue": ""}]}),
                         ("UntagResource", {"TagKeys": "x"}),
                         ("UntagResource", {"TagKeys": [1]})):
            self.assertEqual("SerializationException",
                             call(op, {"KeyId": key, **body}).code)

    def test_characters_count_not_bytes(self):
        key, _ = self.new_key()
        name, value = "é" * 128, "🔑" * 256
        self.kms.tag_resource(KeyId=key, Tags=[
            {"TagKey": name, "TagValue": value},
            {"TagKey": "🔑" * 128, "TagValue": ""},
            {"TagKey": "z", "TagValue": ""}])
        found, marker = [], {}
        while True:
            page = self.kms.list_resource_tags(KeyId=key, Limit=1, **marker)
            found += page["Tags"]
            if not page["Truncated"]:
                break
            marker = {"Marker": page["NextMarker"]}
        self.assertEqual(["z", name, "🔑" * 128],
                         [t["TagKey"] for t in found])
        self.assertEqual(value, found[1]["TagValue"])

    def test_pages(self):
        key, _ = self.new_key(Tags=[{"TagKey": f"k{i}", "TagValue": "v"}
                                    for i in range(5)])
        body = {"KeyId": key, "Limit": 2}
        names = []
        for size, truncated in ((2, True), (2, True), (1, False)):
            page = self.server.call("ListResourceTags", body).json
            self.assertEqual((size, truncated),
                             (len(page["Tags"]), page["Truncated"]))
            names += [t["TagKey"] for t in page["Tags"]]
            body["Marker"] = page.get("NextMarker")
        self.assertEqual([f"k{i}" for i in range(5)], names)
        answer = self.server.call("ListResourceTags",
                                  {"KeyId": key, "Limit": 51})
        self.assertEqual(f"1 {BEFORE} '51' at 'limit' {AFTER} have value less than or equal to 50",
                         answer.message)
        for marker in ("x", b64(b"key:k1"), b64(b"tag:" + b"x" * 600)):
            self.assertEqual("InvalidMarkerException", self.server.call(
                "ListResourceTags", {"KeyId": key, "Marker": marker}).code)

    def test_description(self):
        key, arn = self.new_key(Description="old")
        for name, text in ((key, "é" * 8192), (arn, "")):
            self.kms.update_key_description(KeyId=name, Description=text)
            self.assertEqual(text, self.kms.describe_key(
                KeyId=key)["KeyMetadata"]["Description"])
        answer = self.server.call("UpdateKeyDescription", {
            "KeyId": key, "Description": "x" * 8193})
        self.assertIn("at 'description' failed to satisfy constraint: Member must have length less than or equal to 8192",
                      answer.message)
        self.refused("NotFoundException", "Invalid keyId 'alias/envelope'",
                     self.kms.update_key_description, KeyId="alias/envelope",
                     Description="")

    def test_records(self):
        key, _ = self.new_key()
        for op, body, logged in (
                ("TagResource", {"Tags": pairs(Stage="Test")},
                 {"tags": [{"tagKey": "Stage", "tagValue": "Test"}]}),
                ("UntagResource", {"TagKeys": ["Stage"]},
                 {"tagKeys": ["Stage"]}),
                ("UpdateKeyDescription", {"Description": "d"},
                 {"description": "d"})):
            answer = self.server.call(op, {"KeyId": key, **body})
            self.assertEqual((200, b""), (answer.status, answer.body))
            record = self.server.audit()[-1]
            self.assertEqual((op, {"keyId": key, **logged}, None, False),
                             (record["eventName"],
                              record["requestParameters"],
                              record["responseElements"],
                              record["readOnly"]))

    def test_tags_die_with_their_key(self):
        key, _ = self.new_key(Tags=pairs(a="1"))
        self.kms.schedule_key_deletion(KeyId=key)
        self.server.sql("UPDATE kms_key SET deletion_ms = 1 WHERE key_id = ?",
                        key)
        self.server.restart()
        type(self).kms = self.server.client()
        self.assertEqual([(0,)], self.server.sql(
            "SELECT count(*) FROM tag WHERE key_id = ?", key))


if __name__ == "__main__":
    tap.main()
