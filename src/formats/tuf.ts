/**
 * TUF metadata: one model, strict decoding, and its standard 1.0 wire form.
 *
 * The model knows nothing of a wire dialect; a dialect is a `TufDialect`, two functions from model to JSON.
 * Members that the model does not name are kept in `extra` and written again.
 * Source: The Update Framework specification 1.0.33, section 4.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import type { Checksum } from '../core/checksum.ts';
import { checksumFromBytes } from '../core/checksum.ts';
import { TreewrightError, isTreewrightError } from '../core/errors.ts';
import type { JsonObject, JsonValue } from './canonical-json.ts';
import { encodeCanonicalJson, isJsonObject, parseStrictJson } from './canonical-json.ts';

/** The four top-level roles. */
export type TufRole = 'root' | 'targets' | 'snapshot' | 'timestamp';
export const TUF_ROLES: readonly TufRole[] = ['root', 'targets', 'snapshot', 'timestamp'];

/** What aktualizr reads at most of each file, in bytes; tuf-js and python-tuf allow more of all but targets. */
export const TUF_SIZE_LIMITS: Readonly<Record<TufRole, number>> = {
  root: 64 * 1024,
  targets: 8 * 1024 * 1024,
  snapshot: 64 * 1024,
  timestamp: 64 * 1024,
};

/** A public key as root lists it. Only `ed25519` keys with a hexadecimal `public` can verify here. */
export interface TufKey {
  readonly keytype: string;
  readonly scheme: string;
  readonly public: string;
  readonly extra: JsonObject;
}

export interface TufRoleKeys {
  readonly keyids: readonly string[];
  /** How many different keys of `keyids` must sign; at least 1. */
  readonly threshold: number;
  readonly extra: JsonObject;
}

interface TufCommon {
  readonly version: number;
  /** `YYYY-MM-DDTHH:MM:SSZ`, the only form that every client reads. */
  readonly expires: string;
  readonly specVersion: string;
  readonly extra: JsonObject;
}

export interface TufRoot extends TufCommon {
  readonly role: 'root';
  readonly consistentSnapshot: boolean;
  readonly keys: ReadonlyMap<string, TufKey>;
  readonly roles: ReadonlyMap<string, TufRoleKeys>;
}

/** What one metadata file says about another. */
export interface TufMeta {
  readonly version: number;
  readonly length?: number;
  /** Algorithm to lower-case hexadecimal digest. */
  readonly hashes?: Readonly<Record<string, string>>;
  readonly extra: JsonObject;
}

export interface TufSnapshot extends TufCommon {
  readonly role: 'snapshot';
  /** File names such as `targets.json`. */
  readonly meta: ReadonlyMap<string, TufMeta>;
}

export interface TufTimestamp extends TufCommon {
  readonly role: 'timestamp';
  readonly snapshot: TufMeta;
}

/** A target file, or an OSTree commit with length 0 in aktualizr's use. */
export interface TufTarget {
  readonly length: number;
  readonly hashes: Readonly<Record<string, string>>;
  readonly custom?: JsonObject;
  readonly extra?: JsonObject;
}

export interface TufTargets extends TufCommon {
  readonly role: 'targets';
  readonly targets: ReadonlyMap<string, TufTarget>;
  /** Kept as it is; delegated roles are not followed yet. */
  readonly delegations?: JsonObject;
}

export type TufSigned = TufRoot | TufTargets | TufSnapshot | TufTimestamp;

/** The model of each role. */
export interface TufModels {
  readonly root: TufRoot;
  readonly targets: TufTargets;
  readonly snapshot: TufSnapshot;
  readonly timestamp: TufTimestamp;
}

export interface TufSignature {
  readonly keyid: string;
  readonly signature: Uint8Array;
}

/** One metadata file. */
export interface TufDocument<S extends TufSigned> {
  readonly signed: S;
  readonly signatures: readonly TufSignature[];
  /** What the signatures cover: the canonical form of `signed` as it stood in the file. */
  readonly signedBytes: Uint8Array;
  /** The whole file. */
  readonly bytes: Uint8Array;
}

/** How a model is written: the TUF standard's way, or another that a client demands. */
export interface TufDialect {
  readonly signed: (model: TufSigned) => JsonObject;
  readonly signature: (signature: TufSignature) => JsonObject;
}

/** TUF 1.0. */
export const standardDialect: TufDialect = {
  signed: (model) => ({
    ...model.extra,
    _type: model.role,
    spec_version: model.specVersion,
    version: model.version,
    expires: model.expires,
    ...bodyJson(model),
  }),
  signature: ({ keyid, signature }) => ({ keyid, sig: bytesToHex(signature) }),
};

function bodyJson(model: TufSigned): JsonObject {
  switch (model.role) {
    case 'root':
      return {
        consistent_snapshot: model.consistentSnapshot,
        keys: mapJson(model.keys, keyJson),
        roles: mapJson(model.roles, ({ keyids, threshold, extra }) => ({ ...extra, keyids, threshold })),
      };
    case 'targets':
      return {
        targets: mapJson(model.targets, ({ length, hashes, custom, extra }) => ({
          ...extra,
          length,
          hashes,
          ...(custom === undefined ? {} : { custom }),
        })),
        ...(model.delegations === undefined ? {} : { delegations: model.delegations }),
      };
    case 'snapshot':
      return { meta: mapJson(model.meta, metaJson) };
    case 'timestamp':
      return { meta: { 'snapshot.json': metaJson(model.snapshot) } };
  }
}

function mapJson<T>(map: ReadonlyMap<string, T>, toJson: (value: T) => JsonObject): JsonObject {
  return Object.fromEntries(Array.from(map, ([name, value]) => [name, toJson(value)]));
}

function keyJson(key: TufKey): JsonObject {
  return { ...key.extra, keytype: key.keytype, scheme: key.scheme, keyval: { public: key.public } };
}

function metaJson({ version, length, hashes, extra }: TufMeta): JsonObject {
  return {
    ...extra,
    version,
    ...(length === undefined ? {} : { length }),
    ...(hashes === undefined ? {} : { hashes }),
  };
}

/** The bytes that the signatures of `model` cover. Throws `input/not-canonical` for what clients read differently. */
export function encodeTufSigned(model: TufSigned, dialect: TufDialect = standardDialect): Uint8Array {
  return encodeCanonicalJson(dialect.signed(model));
}

/** The whole file, canonical and without a newline, so that hashes of bytes and of canonical form agree. */
export function encodeTufFile(
  model: TufSigned,
  signatures: readonly TufSignature[],
  dialect: TufDialect = standardDialect,
): Uint8Array {
  return encodeCanonicalJson({
    signatures: signatures.map(dialect.signature),
    signed: dialect.signed(model),
  });
}

/** An ed25519 key as TUF lists it, from its 32 bytes. */
export function ed25519TufKey(publicKey: Uint8Array): TufKey {
  return { keytype: 'ed25519', scheme: 'ed25519', public: bytesToHex(publicKey), extra: {} };
}

/** SHA-256 of the key's canonical form (section 4.2). */
export function tufKeyId(key: TufKey): Checksum {
  return checksumFromBytes(sha256(encodeCanonicalJson(keyJson(key))));
}

/** `seconds` since 1970 in the one form of `expires` that every client reads. */
export function formatTufTime(seconds: number): string {
  if (!Number.isInteger(seconds) || seconds < YEAR_0 || seconds > END_OF_9999) {
    throw new TreewrightError(
      'input/bad-time',
      `${seconds} seconds since 1970 is no time of the years 0 to 9999`,
    );
  }
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`;
}

/** In seconds since 1970; other years would need more than four digits. */
const YEAR_0 = -62_167_219_200;
const END_OF_9999 = 253_402_300_799;

/** Seconds since 1970 of an `expires` member, or undefined when it is not exactly `YYYY-MM-DDTHH:MM:SSZ`. */
export function parseTufTime(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return undefined;
  const seconds = Date.parse(text) / 1000;
  // Date.parse turns 30 February into 1 or 2 March, and 24:00 into the next day.
  return Number.isInteger(seconds) && formatTufTime(seconds) === text ? seconds : undefined;
}

/** Why a target cannot have this name, or undefined when it can: clients turn names into paths and addresses. */
export function targetNameProblem(name: string): string | undefined {
  for (const part of name.split('/')) {
    if (part === '') return 'a part of it is empty';
    if (part === '.' || part === '..') return 'it has a directory reference';
  }
  if (name.includes('\\') || name.includes('\0')) return 'it has a backslash or a NUL';
  return undefined;
}

/** Where a client that honours consistent snapshots fetches a target file: `dir/<sha256>.base`. */
export function hashedTargetPath(name: string, digest: string): string {
  const cut = name.lastIndexOf('/') + 1;
  return `${name.slice(0, cut)}${digest}.${name.slice(cut)}`;
}

/**
 * Reads one metadata file. `file` names it in errors, all of them `trust/bad-metadata` except
 * `trust/metadata-too-large`. Checks form only: neither signatures nor times.
 */
export function decodeTufFile<R extends TufRole>(
  role: R,
  bytes: Uint8Array,
  file: string,
): TufDocument<TufModels[R]> {
  if (bytes.length > TUF_SIZE_LIMITS[role]) {
    throw new TreewrightError(
      'trust/metadata-too-large',
      `${file} has ${bytes.length} bytes, and clients read at most ${TUF_SIZE_LIMITS[role]} of ${role} metadata`,
      { data: { file, size: bytes.length, limit: TUF_SIZE_LIMITS[role] } },
    );
  }
  try {
    const top = asObject(parseStrictJson(bytes), 'the file');
    const { _type, ...json } = asObject(top['signed'], 'signed');
    if (_type !== role) malformed(`signed._type is ${JSON.stringify(_type ?? null)}, expected "${role}"`);
    return {
      signed: DECODERS[role](json),
      signatures: decodeSignatures(top['signatures']),
      signedBytes: encodeCanonicalJson(top['signed'], 'any'),
      bytes,
    };
  } catch (error) {
    if (!isTreewrightError(error)) throw error;
    throw new TreewrightError('trust/bad-metadata', `${file} is not valid TUF metadata: ${error.message}`, {
      cause: error,
      data: { file },
    });
  }
}

const DECODERS: { readonly [R in TufRole]: (json: JsonObject) => TufModels[R] } = {
  root: (json) => {
    const { keys, roles, consistent_snapshot, ...rest } = json;
    if (typeof consistent_snapshot !== 'boolean') malformed('consistent_snapshot is not true or false');
    const model: TufRoot = {
      role: 'root',
      ...common(rest),
      consistentSnapshot: consistent_snapshot,
      keys: asMap(keys, 'keys', decodeKey),
      roles: asMap(roles, 'roles', decodeRoleKeys),
    };
    for (const role of TUF_ROLES) if (!model.roles.has(role)) malformed(`roles has no ${role}`);
    return model;
  },
  targets: (json) => {
    const { targets, delegations, ...rest } = json;
    return {
      role: 'targets',
      ...common(rest),
      targets: asMap(targets, 'targets', decodeTarget),
      ...(delegations === undefined ? {} : { delegations: asObject(delegations, 'delegations') }),
    };
  },
  snapshot: (json) => {
    const { meta, ...rest } = json;
    return { role: 'snapshot', ...common(rest), meta: asMap(meta, 'meta', decodeMeta) };
  },
  timestamp: (json) => {
    const { meta, ...rest } = json;
    const files = asMap(meta, 'meta', decodeMeta);
    const snapshot = files.get('snapshot.json');
    if (snapshot === undefined || files.size !== 1) malformed('meta does not hold exactly snapshot.json');
    return { role: 'timestamp', ...common(rest), snapshot };
  },
};

function malformed(problem: string): never {
  throw new TreewrightError('trust/bad-metadata', problem);
}

function common(json: JsonObject): TufCommon {
  const { spec_version, version, expires, ...extra } = json;
  if (typeof spec_version !== 'string' || !/^1\.\d+(\.\d+)?$/.test(spec_version)) {
    malformed(`spec_version is ${JSON.stringify(spec_version ?? null)}, expected 1.x`);
  }
  if (typeof expires !== 'string' || parseTufTime(expires) === undefined) {
    malformed(`expires is ${JSON.stringify(expires ?? null)}, expected the form YYYY-MM-DDTHH:MM:SSZ`);
  }
  return { version: asCount(version, 'version', 1), expires, specVersion: spec_version, extra };
}

function asObject(value: JsonValue | undefined, what: string): JsonObject {
  return isJsonObject(value) ? value : malformed(`${what} is not an object`);
}

function asMap<T>(
  value: JsonValue | undefined,
  what: string,
  decode: (json: JsonObject, what: string, name: string) => T,
): ReadonlyMap<string, T> {
  return new Map(
    Object.entries(asObject(value, what)).map(([name, member]) => {
      const path = `${what}[${JSON.stringify(name.slice(0, 120))}]`;
      return [name, decode(asObject(member, path), path, name)];
    }),
  );
}

function asCount(value: JsonValue | undefined, what: string, least: 0 | 1): number {
  if (typeof value === 'number' && value >= least) return value;
  return malformed(
    `${what} is ${JSON.stringify(value ?? null).slice(0, 80)}, expected a number from ${least}`,
  );
}

function asHashes(value: JsonValue | undefined, what: string): Record<string, string> {
  const hashes = Object.entries(asObject(value, what)).map(([name, digest]) => {
    if (typeof digest !== 'string' || !/^(?:[0-9a-f]{2})+$/.test(digest)) {
      malformed(`${what}.${name.slice(0, 40)} is not lower-case hexadecimal`);
    }
    return [name, digest] as const;
  });
  if (hashes.length === 0) malformed(`${what} is empty`);
  return Object.fromEntries(hashes);
}

function decodeKey(json: JsonObject, what: string): TufKey {
  const { keytype, scheme, keyval, ...extra } = json;
  const publicKey = asObject(keyval, `${what}.keyval`)['public'];
  if (typeof keytype !== 'string' || typeof scheme !== 'string' || typeof publicKey !== 'string') {
    malformed(`${what} needs the texts keytype, scheme and keyval.public`);
  }
  return { keytype, scheme, public: publicKey, extra };
}

function decodeRoleKeys(json: JsonObject, what: string): TufRoleKeys {
  const { keyids, threshold, ...extra } = json;
  if (!Array.isArray(keyids) || !keyids.every((id) => typeof id === 'string')) {
    malformed(`${what}.keyids is not a list of texts`);
  }
  if (new Set(keyids).size !== keyids.length) malformed(`${what}.keyids names a key twice`);
  return { keyids, threshold: asCount(threshold, `${what}.threshold`, 1), extra };
}

function decodeMeta(json: JsonObject, what: string): TufMeta {
  const { version, length, hashes, ...extra } = json;
  return {
    version: asCount(version, `${what}.version`, 1),
    ...(length === undefined ? {} : { length: asCount(length, `${what}.length`, 0) }),
    ...(hashes === undefined ? {} : { hashes: asHashes(hashes, `${what}.hashes`) }),
    extra,
  };
}

function decodeTarget(json: JsonObject, what: string, name: string): TufTarget {
  const problem = targetNameProblem(name);
  if (problem !== undefined) malformed(`${what} cannot be a target: ${problem}`);
  const { length, hashes, custom, ...extra } = json;
  return {
    length: asCount(length, `${what}.length`, 0),
    hashes: asHashes(hashes, `${what}.hashes`),
    ...(custom === undefined ? {} : { custom: asObject(custom, `${what}.custom`) }),
    extra,
  };
}

function decodeSignatures(value: JsonValue | undefined): readonly TufSignature[] {
  if (!Array.isArray(value)) malformed('signatures is not a list');
  const seen = new Set<string>();
  return (value as readonly JsonValue[]).map((entry, i) => {
    const { keyid, sig } = asObject(entry, `signatures[${i}]`);
    if (typeof keyid !== 'string' || typeof sig !== 'string' || !/^(?:[0-9a-fA-F]{2})*$/.test(sig)) {
      malformed(`signatures[${i}] needs a keyid and a hexadecimal sig`);
    }
    if (seen.has(keyid)) malformed(`signatures has the key ${keyid.slice(0, 80)} twice`);
    seen.add(keyid);
    return { keyid, signature: hexToBytes(sig) };
  });
}
