// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a KMS key through the AWS Encryption SDK for JavaScript: its
// keyrings make, wrap and unwrap the data keys of messages.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const {
  AwsKmsMrkAwareSymmetricKeyringNode, buildClient, CommitmentPolicy,
  KmsKeyringNode,
} = require('@aws-crypto/client-node');
const {
  allow, client, context, importMaterial, kms, makeMaterial, newKey, passDays,
  policy, run, settings,
} = require('./clients.js');

const esdk = buildClient(
  CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const plain = crypto.randomBytes(100000);

function keyring(keyIds, options, who) {
  return new KmsKeyringNode({
    clientProvider: (region) => client(region, who),
    generatorKeyId: keyIds[0], keyIds: keyIds.slice(1), ...options,
  });
}

async function seal(ring, encryptionContext) {
  return (await esdk.encrypt(ring, plain, {
    encryptionContext: encryptionContext || context,
  })).result;
}

async function opens(ring, message) {
  const { plaintext, messageHeader } = await esdk.decrypt(ring, message);
  assert.ok(plain.equals(plaintext));
  return messageHeader;
}

const steps = {
  async keyringOfTwoKeys() {
    const one = await newKey(), two = await newKey();
    const both = keyring([one.Arn, two.Arn]);
    const message = await seal(both);
    for (const key of [one, two]) {
      const header = await opens(keyring([key.Arn]), message);
      assert.equal(header.encryptionContext['ключ'], '🔑');
    }
    await kms.disableKey({ KeyId: one.KeyId });
    await assert.rejects(opens(keyring([one.Arn]), message), /is disabled/);
    await opens(both, message);
  },

  async policyOnContext() {
    const key = await newKey({
      Policy: policy(allow, {
        Effect: 'Allow', Resource: '*',
        Action: ['kms:GenerateDataKey', 'kms:Decrypt'],
        Principal: { AWS: settings.friend },
        Condition: { StringEquals: { 'kms:EncryptionContext:volume': 'v' } },
      }),
    });
    const ring = keyring([key.Arn], {}, 'friend');
    await opens(ring, await seal(ring, { volume: 'v' }));
    await assert.rejects(seal(ring, { volume: 'w' }), /not authorized/);
    const message = await seal(keyring([key.Arn]), { volume: 'w' });
    await assert.rejects(opens(ring, message), /not authorized/);
    await kms.putKeyPolicy({ KeyId: key.KeyId, Policy: policy(allow) });
    await assert.rejects(seal(ring, { volume: 'v' }), /not authorized/);
  },

  async alias() {
    const one = await newKey(), two = await newKey();
    const name = 'alias/sdk';
    const alias = one.Arn.replace(/key\/.*/, name);
    await kms.createAlias({ AliasName: name, TargetKeyId: one.KeyId });
    const first = await seal(keyring([alias]));
    await kms.updateAlias({ AliasName: name, TargetKeyId: two.KeyId });
    const second = await seal(keyring([alias]));
    await opens(keyring([one.Arn]), first);
    await opens(keyring([two.Arn]), second);
    await assert.rejects(opens(keyring([one.Arn]), second));
  },

  async grants() {
    const key = await newKey();
    const { GrantToken, GrantId } = await kms.createGrant({
      KeyId: key.KeyId, GranteePrincipal: settings.friend,
      Operations: ['GenerateDataKey', 'Decrypt'],
      Constraints: { EncryptionContextSubset: { volume: 'v' } },
    });
    const ring = keyring([key.Arn], { grantTokens: [GrantToken] }, 'friend');
    const message = await seal(ring, { volume: 'v', n: '1' });
    await opens(ring, message);
    await assert.rejects(seal(ring, { n: '1' }), /not authorized/);
    await kms.revokeGrant({ KeyId: key.KeyId, GrantId });
    await assert.rejects(opens(keyring([key.Arn], {}, 'friend'), message),
      /not authorized/);
    await assert.rejects(opens(ring, message), /InvalidGrantToken/);
  },

  async rotation() {
    const key = await newKey();
    const ring = keyring([key.Arn]);
    const messages = [await seal(ring)];
    for (let i = 0; i < 2; i++) {
      await kms.rotateKeyOnDemand({ KeyId: key.KeyId });
      messages.push(await seal(ring));
    }
    for (const message of messages) { await opens(ring, message); }
    assert.equal((await kms.listKeyRotations({
      KeyId: key.KeyId,
    })).Rotations.length, 2);
  },

  async importing() {
    const key = await newKey({ Origin: 'EXTERNAL' });
    const ring = keyring([key.Arn]);
    const material = makeMaterial();
    await assert.rejects(seal(ring), /is pending import/);
    await importMaterial(key.KeyId, material);
    const message = await seal(ring);
    await kms.deleteImportedKeyMaterial({ KeyId: key.KeyId });
    await assert.rejects(opens(ring, message), /is pending import/);
    await importMaterial(key.KeyId, material);
    await opens(ring, message);
  },

  async regions() {
    const [here, other] = settings.regions;
    const key = await newKey({ MultiRegion: true });
    const { ReplicaKeyMetadata: replica } = await kms.replicateKey({
      KeyId: key.KeyId, ReplicaRegion: other,
    });
    const rings = [[here, key.Arn], [other, replica.Arn]].map(
      ([region, keyId]) => new AwsKmsMrkAwareSymmetricKeyringNode({
        client: client(region), keyId,
      }));
    for (const ring of rings) {
      const message = await seal(ring);
      for (const another of rings) { await opens(another, message); }
    }
    const single = await newKey();
    const message = await seal(keyring([single.Arn]));
    await assert.rejects(opens(keyring(
      [single.Arn.replace(here, other)]), message));
  },

  async tags() {
    const key = await newKey({
      Policy: policy(allow, {
        Effect: 'Allow', Resource: '*', Principal: { AWS: settings.friend },
        Action: ['kms:GenerateDataKey', 'kms:Decrypt'],
        Condition: { StringEquals: { 'aws:ResourceTag/stage': 'test' } },
      }),
    });
    const ring = keyring([key.Arn], {}, 'friend');
    await assert.rejects(seal(ring), /not authorized/);
    await kms.tagResource({
      KeyId: key.KeyId, Tags: [{ TagKey: 'stage', TagValue: 'test' }],
    });
    const message = await seal(ring);
    await opens(ring, message);
    await kms.untagResource({ KeyId: key.KeyId, TagKeys: ['stage'] });
    await assert.rejects(opens(ring, message), /not authorized/);
  },

  async deletion() {
    const key = await newKey();
    const ring = keyring([key.Arn]);
    const message = await seal(ring);
    const seven = { KeyId: key.KeyId, PendingWindowInDays: 7 };
    await kms.scheduleKeyDeletion(seven);
    await assert.rejects(opens(ring, message), /is pending deletion/);
    await kms.cancelKeyDeletion({ KeyId: key.KeyId });
    await kms.enableKey({ KeyId: key.KeyId });
    await opens(ring, message);
    await kms.scheduleKeyDeletion(seven);
    passDays(8);
    await assert.rejects(opens(ring, message), /does not exist/);
  },
};

run(steps);
