/**
 * Finds new files that lie whole inside another new one. An initramfs that is not compressed holds the same kernel
 * modules and programs as the root filesystem beside it, and a part may read what it has made itself: such a file is
 * put together from its members, which then cost their bytes only once.
 */
import { concatBytes } from '../core/bytes.ts';
import type { Checksum } from '../core/checksum.ts';
import { FDT_MAGIC } from '../formats/fdt.ts';
import type { ByteStore } from '../platform/store.ts';
import { openStore } from '../platform/store.ts';
import type { WorkerPool } from '../platform/workers.ts';
import { defineTask } from '../platform/workers.ts';
import { readContent } from '../repo/read.ts';
import { loadContent } from './content.ts';
import type { ObjectFacts } from './gather.ts';
import { mayBeRead } from './plan.ts';
import type { SizedObject } from './renames.ts';
import { isCompressed } from './similarity.ts';

/** A new file inside of another one, from the byte `at` on; sizes in bytes. */
export interface Member extends SizedObject {
  readonly at: number;
}

/** Smaller files are not looked into, larger ones are not held in memory. */
const MIN_CONTAINER = 1 << 20;
const MAX_CONTAINER = 128_000_000;

/** A member must be worth its checksum and operations. */
const MIN_MEMBER = 512;

/** Members must make up this share of a file that is put together from them. */
const MIN_SHARE = 0.1;

/** cpio aligns files to 4 bytes, FIT images as well or further, tar to 512. */
const ALIGNMENT = 4;

/** Bytes of a candidate that are compared before the whole of it is read. */
const HEAD = 1024;

/** Where ELF has the offset of its section headers, in which files differ that otherwise begin alike. */
const TELLING = 40;

async function headOf(store: ByteStore, checksum: Checksum, length: number): Promise<Uint8Array> {
  const head = new Uint8Array(length);
  let at = 0;
  for await (const chunk of (await readContent(store, checksum)).chunks) {
    const taken = chunk.subarray(0, length - at);
    head.set(taken, at);
    at += taken.length;
    if (at === length) break;
  }
  return head.subarray(0, at);
}

/** cpio in its "newc" form, tar, and FIT images keep files as they are. */
function isContainer(head: Uint8Array): boolean {
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  const text = (start: number, end: number): string => String.fromCharCode(...head.subarray(start, end));
  return (
    (head.length >= 4 && view.getUint32(0) === FDT_MAGIC) ||
    text(0, 5) === '07070' ||
    text(257, 262) === 'ustar'
  );
}

const KEY_BITS = 16;

function keyAt(words: Uint32Array, word: number): number {
  const telling = word + TELLING / ALIGNMENT;
  const mixed = (words[word] ?? 0) ^ Math.imul(words[telling] ?? 0, 0x9e3779b1) ^ (words[telling + 1] ?? 0);
  return Math.imul(mixed, 0x85ebca6b) >>> (32 - KEY_BITS);
}

/** The whole words of `bytes`, in this machine's byte order. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const length = Math.floor(bytes.length / ALIGNMENT);
  if (bytes.byteOffset % ALIGNMENT === 0) return new Uint32Array(bytes.buffer, bytes.byteOffset, length);
  return new Uint32Array(Uint8Array.from(bytes).buffer, 0, length);
}

function startsAt(whole: Uint8Array, at: number, part: Uint8Array): boolean {
  return Buffer.compare(whole.subarray(at, at + part.length), part) === 0;
}

/** What is left of `fresh` without its members, which are in the order of their places and do not overlap. */
export function withoutMembers(fresh: Uint8Array, members: readonly Member[]): Uint8Array {
  const gaps: Uint8Array[] = [];
  let done = 0;
  for (const { at, size } of members) {
    gaps.push(fresh.subarray(done, at));
    done = at + size;
  }
  return concatBytes([...gaps, fresh.subarray(done)]);
}

export interface FindContainers {
  /** Directory of the repository. */
  readonly repo: string;
  readonly objects: readonly SizedObject[];
}

/** Those of the objects that keep files as they are, judged by their first bytes. */
const findContainers = defineTask(
  'delta/find-containers',
  import.meta.url,
  async ({ repo, objects }: FindContainers): Promise<SizedObject[]> => {
    const store = openStore(repo);
    const found: SizedObject[] = [];
    for (const object of objects) {
      if (isContainer(await headOf(store, object.checksum, HEAD))) found.push(object);
    }
    return found;
  },
);

export interface FindMembers {
  /** Directory of the repository. */
  readonly repo: string;
  readonly container: SizedObject;
  readonly candidates: readonly SizedObject[];
}

/** Which of the candidates lie whole inside of the container, in the order of their places. */
export const findMembers = defineTask(
  'delta/find-members',
  import.meta.url,
  async ({ repo, container, candidates }: FindMembers): Promise<Member[]> => {
    const store = openStore(repo);
    const byKey = new Map<number, { readonly object: SizedObject; readonly head: Uint8Array }[]>();
    for (const object of candidates) {
      const head = await headOf(store, object.checksum, Math.min(HEAD, object.size));
      const key = keyAt(wordsOf(head), 0);
      byKey.set(key, [...(byKey.get(key) ?? []), { object, head }]);
    }
    const whole = await loadContent(store, container.checksum, container.size);
    const words = wordsOf(whole);
    const members: Member[] = [];
    for (let word = 0; word < words.length;) {
      const at = word * ALIGNMENT;
      let length = ALIGNMENT;
      for (const { object, head } of byKey.get(keyAt(words, word)) ?? []) {
        if (object.size > whole.length - at || object.size <= length || !startsAt(whole, at, head)) continue;
        if (!startsAt(whole, at, await loadContent(store, object.checksum, object.size))) continue;
        if (length > ALIGNMENT) members.pop();
        members.push({ ...object, at });
        length = object.size;
      }
      word += Math.ceil(length / ALIGNMENT);
    }
    return members;
  },
);

/**
 * The members of each file that is made up of others to a good part. A file is a member of one container at most, and
 * a container is no member.
 */
export async function containedFiles(
  repo: string,
  files: readonly ObjectFacts[],
  pool: WorkerPool,
): Promise<ReadonlyMap<Checksum, readonly Member[]>> {
  const objects = files
    .filter(
      ({ size, header }) =>
        size >= MIN_CONTAINER &&
        size <= MAX_CONTAINER &&
        !isCompressed({ size, storedBytes: header.storedSize }),
    )
    .map(({ checksum, size }) => ({ checksum, size }));
  const containers = objects.length === 0 ? [] : await pool.run(findContainers, { repo, objects });
  const found = new Map<Checksum, readonly Member[]>();
  const taken = new Set<Checksum>();
  // Largest first, one after the other: what one has taken the next one cannot have.
  for (const container of containers.sort((a, b) => b.size - a.size)) {
    if (taken.has(container.checksum)) continue;
    const candidates = files
      .filter(
        (file) =>
          mayBeRead(file) &&
          file.size >= MIN_MEMBER &&
          file.size < container.size &&
          !taken.has(file.checksum) &&
          !found.has(file.checksum),
      )
      .map(({ checksum, size }) => ({ checksum, size }));
    const { checksum, size } = container;
    const members = await pool.run(findMembers, { repo, container, candidates });
    if (members.reduce((sum, member) => sum + member.size, 0) < MIN_SHARE * size) continue;
    found.set(checksum, members);
    for (const member of members) taken.add(member.checksum);
  }
  return found;
}
