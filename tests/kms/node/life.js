// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a KMS key through AWS's client and Encryption SDK for
// JavaScript: settings as JSON on stdin, one line "name: ok" or "name: why not"
// for each step on stdout.
'use strict';
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const https = require('node:https');
const { KMS } = require('@aws-sdk/client-kms');
const {
  buildClient, CommitmentPolicy, KmsKeyringNode,
} = require('@aws-crypto/client-node');

const settings = JSON.parse(fs.readFileSync(0, 'utf8'));
const agent = new https.Agent({ ca: fs.readFileSync(settings.ca) });
const esdk = buildClient(
  CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const context = { 'envelope:volume-id': 'vol-1', 'ключ': '🔑' };

function client(region, who) {
  return new KMS({
    region,
    endpoint: settings.endpoint,
    credentials: settings.credentials[who || 'administrator'],
    maxAttempts: 1,
    requestHandler: { httpsAgent: agent },
  });
}

const kms = client(settings.regions[0]);

async function refused(name, promise) {
  await assert.rejects(promise, (e) => {
    assert.equal(e.name, name);
    return true;
  });
}

async function newKey(options) {
  return (await kms.createKey(options || {})).KeyMetadata;
}

async function every(pages) {
  const all = [];
  for (let marker; ;) {
    const page = await pages(marker);
    all.push(page);
    if (!page.Truncated) { return all; }
    marker = page.NextMarker;
  }
}

const steps = {
  async aliasAndDataKeys() {
    const key = await newKey({ Description: 'of node' });
    await kms.createAlias({
      AliasName: 'alias/node/one', TargetKeyId: key.KeyId,
    });
    const made = await kms.generateDataKey({
      KeyId: 'alias/node/one', NumberOfBytes: 64, EncryptionContext: context,
    });
    assert.equal(made.KeyId, key.Arn);
    const back = await kms.decrypt({
      CiphertextBlob: made.CiphertextBlob, EncryptionContext: context,
      KeyId: key.Arn,
    });
    assert.deepEqual(back.Plaintext, made.Plaintext);
    await refused('InvalidCiphertextException', kms.decrypt({
      CiphertextBlob: made.CiphertextBlob,
    }));
    const blind = await kms.generateDataKeyWithoutPlaintext({
      KeyId: key.KeyId, KeySpec: 'AES_256',
    });
    assert.equal(blind.Plaintext, undefined);
    const moved = await kms.reEncrypt({
      CiphertextBlob: made.CiphertextBlob, SourceEncryptionContext: context,
      DestinationKeyId: key.KeyId, DestinationEncryptionContext: { a: 'b' },
    });
    assert.equal(moved.SourceKeyMaterialId, key.CurrentKeyMaterialId);
    await refused('DryRunOperationException', kms.decrypt({
      CiphertextBlob: moved.CiphertextBlob, EncryptionContext: { a: 'b' },
      DryRun: true,
    }));
    await kms.deleteAlias({ AliasName: 'alias/node/one' });
  },

  async policy() {
    const allow = {
      Effect: 'Allow', Action: 'kms:*', Resource: '*',
      Principal: { AWS: 'arn:aws:iam::111122223333:root' },
    };
    const policy = (...statements) => JSON.stringify({
      Version: '2012-10-17', Statement: statements,
    });
    const key = await newKey({ Policy: policy(allow) });
    const plain = { KeyId: key.KeyId, Plaintext: Buffer.from('x') };
    await kms.encrypt(plain);
    await kms.putKeyPolicy({
      KeyId: key.KeyId, PolicyName: 'default',
      Policy: policy(allow, {
        ...allow, Effect: 'Deny', Action: 'kms:Encrypt',
        Principal: { AWS: '*' },
      }),
    });
    await refused('AccessDeniedException', kms.encrypt(plain));
    const got = await kms.getKeyPolicy({ KeyId: key.KeyId });
    assert.equal(JSON.parse(got.Policy).Statement.length, 2);
    assert.deepEqual((await kms.listKeyPolicies({
      KeyId: key.KeyId,
    })).PolicyNames, ['default']);
  },

  async rotation() {
    const key = await newKey();
    await kms.enableKeyRotation({
      KeyId: key.KeyId, RotationPeriodInDays: 90,
    });
    const status = await kms.getKeyRotationStatus({ KeyId: key.KeyId });
    assert.equal(status.RotationPeriodInDays, 90);
    assert.ok(status.NextRotationDate instanceof Date);
    const old = await kms.encrypt({
      KeyId: key.KeyId, Plaintext: Buffer.from('old'),
    });
    await kms.rotateKeyOnDemand({ KeyId: key.KeyId });
    const fresh = await kms.encrypt({
      KeyId: key.KeyId, Plaintext: Buffer.from('new'),
    });
    const texts = [];
    const materials = new Set();
    for (const blob of [old, fresh]) {
      const back = await kms.decrypt({
        CiphertextBlob: blob.CiphertextBlob,
      });
      texts.push(Buffer.from(back.Plaintext).toString());
      materials.add(back.KeyMaterialId);
    }
    assert.deepEqual(texts, ['old', 'new']);
    assert.equal(materials.size, 2);
    const rotations = await kms.listKeyRotations({
      KeyId: key.KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL',
    });
    assert.deepEqual(
      new Set(rotations.Rotations.map((r) => r.KeyMaterialId)), materials);
    await kms.disableKeyRotation({ KeyId: key.KeyId });
  },

  async regions() {
    const [, other] = settings.regions;
    const there = client(other);
    const key = await newKey({ MultiRegion: true });
    const { ReplicaKeyMetadata: replica } = await kms.replicateKey({
      KeyId: key.KeyId, ReplicaRegion: other,
    });
    assert.equal(replica.KeyId, key.KeyId);
    const made = await kms.generateDataKey({
      KeyId: key.KeyId, NumberOfBytes: 64, EncryptionContext: context,
    });
    const back = await there.decrypt({
      CiphertextBlob: made.CiphertextBlob, EncryptionContext: context,
    });
    assert.deepEqual(back.Plaintext, made.Plaintext);
    assert.equal(back.KeyId, replica.Arn);
    await kms.updatePrimaryRegion({
      KeyId: key.KeyId, PrimaryRegion: other,
    });
    const config = (await there.describeKey({ KeyId: key.KeyId }))
      .KeyMetadata.MultiRegionConfiguration;
    assert.equal(config.MultiRegionKeyType, 'PRIMARY');
    await refused('NotFoundException', there.describeKey({
      KeyId: key.Arn,
    }));
  },

  async tags() {
    const key = await newKey({ Tags: [{ TagKey: 'a', TagValue: '1' }] });
    await kms.tagResource({
      KeyId: key.KeyId, Tags: [{ TagKey: 'b', TagValue: '' }],
    });
    const pages = await every((Marker) => kms.listResourceTags({
      KeyId: key.KeyId, Limit: 1, Marker,
    }));
    assert.deepEqual(pages.map((p) => p.Tags[0].TagKey), ['a', 'b']);
    await kms.untagResource({ KeyId: key.KeyId, TagKeys: ['a'] });
    await kms.updateKeyDescription({
      KeyId: key.KeyId, Description: 'later',
    });
    assert.equal((await kms.describeKey({ KeyId: key.Arn }))
      .KeyMetadata.Description, 'later');
  },

  async grants() {
    const key = await newKey();
    const ask = {
      KeyId: key.KeyId, GranteePrincipal: settings.grantee,
      Operations: ['Decrypt', 'DescribeKey'], Name: 'node',
      RetiringPrincipal: settings.grantee,
      Constraints: { EncryptionContextSubset: { volume: 'v' } },
    };
    const made = await kms.createGrant(ask);
    assert.equal((await kms.createGrant(ask)).GrantId, made.GrantId);
    const listed = await kms.listGrants({ KeyId: key.KeyId });
    assert.deepEqual(listed.Grants[0].Constraints, ask.Constraints);
    assert.ok(listed.Grants[0].CreationDate instanceof Date);
    await kms.describeKey({
      KeyId: key.KeyId, GrantTokens: [made.GrantToken],
    });
    await refused('InvalidGrantTokenException', kms.describeKey({
      KeyId: key.KeyId, GrantTokens: ['made up'],
    }));
    await refused('InvalidArnException', kms.createGrant({
      ...ask, GranteePrincipal: 'arn:aws:iam::111122223333:user/nobody',
    }));
    assert.equal((await kms.listRetirableGrants({
      RetiringPrincipal: settings.grantee,
    })).Grants.length, 1);
    await kms.retireGrant({ GrantToken: made.GrantToken });
    await refused('NotFoundException', kms.revokeGrant({
      KeyId: key.KeyId, GrantId: made.GrantId,
    }));
  },

  async deletion() {
    const key = await newKey();
    const until = await kms.scheduleKeyDeletion({
      KeyId: key.KeyId, PendingWindowInDays: 7,
    });
    assert.equal(until.KeyState, 'PendingDeletion');
    assert.ok(until.DeletionDate instanceof Date);
    await refused('KMSInvalidStateException', kms.encrypt({
      KeyId: key.KeyId, Plaintext: Buffer.from('x'),
    }));
    await kms.cancelKeyDeletion({ KeyId: key.KeyId });
    await refused('DisabledException', kms.encrypt({
      KeyId: key.KeyId, Plaintext: Buffer.from('x'),
    }));
    await kms.enableKey({ KeyId: key.KeyId });
    await refused('NotFoundException', kms.describeKey({
      KeyId: '12345678-1234-1234-1234-123456789012',
    }));
  },

  async encryptionSdk() {
    const one = await newKey(), two = await newKey();
    const clientProvider = (region) => client(region);
    const keyring = new KmsKeyringNode({
      clientProvider, generatorKeyId: one.Arn, keyIds: [two.Arn],
    });
    const plain = crypto.randomBytes(100000);
    const { result } = await esdk.encrypt(keyring, plain, {
      encryptionContext: context,
    });
    for (const key of [one, two]) {
      const single = new KmsKeyringNode({
        clientProvider, keyIds: [key.Arn],
      });
      const { plaintext, messageHeader } = await esdk.decrypt(single, result);
      assert.ok(plain.equals(plaintext));
      assert.equal(messageHeader.encryptionContext['ключ'], '🔑');
    }
    await kms.disableKey({ KeyId: one.KeyId });
    await assert.rejects(esdk.decrypt(new KmsKeyringNode({
      clientProvider, keyIds: [one.Arn],
    }), result), /is disabled/);
    assert.ok(plain.equals(
      (await esdk.decrypt(keyring, result)).plaintext));
  },
};

(async () => {
  for (const name of settings.steps || Object.keys(steps)) {
    try {
      await steps[name]();
      console.log(`${name}: ok`);
    } catch (e) {
      console.log(`${name}: ${String(e.stack).replaceAll('\n', ' | ')}`);
    }
  }
})();
