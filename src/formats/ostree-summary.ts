/**
 * The summary file, `(a(s(taya{sv}))a{sv})`: every branch with its commit, and what deltas exist.
 * Source: libostree ostree-repo.c (regenerate_metadata) and ostree-core.h.
 */
import { compareUtf8 } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { checksumFromBytes, checksumToBytes } from '../core/checksum.ts';
import { TreewrightError } from '../core/errors.ts';
import type { Vardict, Variant } from './gvariant.ts';
import { array, bytestring, lookup, string, swap64, tuple, u64le, vardict } from './gvariant.ts';

/** The most a client reads of a summary (OSTREE_MAX_METADATA_SIZE of a fetch), in bytes. */
export const MAX_SUMMARY_SIZE = 128 * 1024 * 1024;

export interface SummaryRef {
  readonly ref: string;
  readonly commit: Checksum;
  /** Size of the commit object in bytes. */
  readonly commitSize: number;
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly version?: string;
}

export interface Summary {
  readonly refs: readonly SummaryRef[];
  /** `<from>-<to>` or `<to>`, with the SHA-256 of the superblock. */
  readonly deltas: readonly (readonly [string, Checksum])[];
  /** Seconds since 1970. */
  readonly lastModified: number;
}

type RefEntry = readonly [string, readonly [number, Uint8Array, Vardict]];

const summaryCodec = tuple<readonly [readonly RefEntry[], Vardict]>(
  array(tuple<RefEntry>(string, tuple<readonly [number, Uint8Array, Vardict]>(u64le, bytestring, vardict))),
  vardict,
);

/** Timestamps are kept big-endian inside their variants. */
const timestampVariant = (seconds: number): Variant => ({ signature: 't', value: swap64(BigInt(seconds)) });

function timestampOf(dict: Vardict, key: string): number {
  const value = lookup(dict, key, 't');
  return typeof value === 'bigint' ? Number(swap64(value)) : 0;
}

export function encodeSummary({ refs, deltas, lastModified }: Summary): Uint8Array {
  const refEntries = [...refs]
    .sort((a, b) => compareUtf8(a.ref, b.ref))
    .map(({ ref, commit, commitSize, timestamp, version }): RefEntry => {
      const facts: [string, Variant][] = [['ostree.commit.timestamp', timestampVariant(timestamp)]];
      if (version !== undefined) facts.push(['ostree.commit.version', { signature: 's', value: version }]);
      return [ref, [commitSize, checksumToBytes(commit), facts]];
    });
  const metadata: [string, Variant][] = [];
  if (deltas.length > 0) {
    const entries = [...deltas]
      .sort(([a], [b]) => compareUtf8(a, b))
      .map(([name, digest]) => [name, { signature: 'ay', value: checksumToBytes(digest) }] as const);
    metadata.push(['ostree.static-deltas', { signature: 'a{sv}', value: entries }]);
  }
  metadata.push(
    ['ostree.summary.last-modified', timestampVariant(lastModified)],
    ['ostree.summary.mode', { signature: 's', value: 'archive-z2' }],
    ['ostree.summary.tombstone-commits', { signature: 'b', value: false }],
    // Clients then look for delta-indexes/, where a pull by commit hash finds its delta.
    ['ostree.summary.indexed-deltas', { signature: 'b', value: true }],
  );
  return summaryCodec.encode([refEntries, metadata]);
}

export function decodeSummary(bytes: Uint8Array): Summary {
  const [refEntries, metadata] = summaryCodec.decode(bytes);
  const deltas = lookup(metadata, 'ostree.static-deltas', 'a{sv}') as Vardict | undefined;
  return {
    refs: refEntries.map(([ref, [commitSize, commit, facts]]) => {
      const version = lookup(facts, 'ostree.commit.version', 's');
      return {
        ref,
        commit: checksumFromBytes(commit, `commit of ref ${ref}`),
        commitSize,
        timestamp: timestampOf(facts, 'ostree.commit.timestamp'),
        ...(typeof version === 'string' ? { version } : {}),
      };
    }),
    deltas: (deltas ?? []).map(([name, { signature, value }]) => {
      if (signature !== 'ay') {
        throw new TreewrightError('input/bad-object', `the summary's digest of delta ${name} is not bytes`);
      }
      return [name, checksumFromBytes(value as Uint8Array, `digest of delta ${name}`)] as const;
    }),
    lastModified: timestampOf(metadata, 'ostree.summary.last-modified'),
  };
}
