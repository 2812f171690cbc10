/** Writes a FAT partition: the plan's own bytes, and the content of its files as streams. */
import { TreewrightError } from '../../core/errors.ts';
import type { FatPlan } from '../../formats/fat.ts';
import type { ImageTarget } from '../../platform/image-file.ts';

/** The content of the file at `index` of the plan's files, in chunks. */
export type OpenFatFile = (index: number) => AsyncIterable<Uint8Array>;

/**
 * Writes all of a file system to a partition that holds nothing yet, or anything: blocks that belong to no file are
 * left as they are.
 *
 * @throws TreewrightError `input/changed-file` when a file has not the size it was planned with
 */
export async function writeFat(plan: FatPlan, open: OpenFatFile, target: ImageTarget): Promise<void> {
  for (const { offset, bytes } of plan.metadata()) await target.write(offset, bytes);
  for (const [index, { path, size, offset }] of plan.files.entries()) {
    await writeSized(open(index), size, `${path} of the FAT partition`, {
      write: (at, bytes) => target.write(offset + at, bytes),
    });
  }
}

/** Writes a stream that has exactly `size` bytes. */
export async function writeSized(
  chunks: AsyncIterable<Uint8Array>,
  size: number,
  what: string,
  target: ImageTarget,
): Promise<void> {
  let at = 0;
  for await (const chunk of chunks) {
    if (at + chunk.length > size) throw changed(what, size, 'more');
    await target.write(at, chunk);
    at += chunk.length;
  }
  if (at < size) throw changed(what, size, `${at}`);
}

function changed(what: string, expected: number, found: string): TreewrightError {
  return new TreewrightError(
    'input/changed-file',
    `${what} had ${expected} bytes when the image was planned and has ${found} now; do not change files while an image is made`,
  );
}
