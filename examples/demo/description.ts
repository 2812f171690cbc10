/** Reads the YAML descriptions beside this file: directories, symlinks and files of a root filesystem. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import type { TreeTar } from './tree-tar.ts';

const path = z.string().regex(/^\/\S+$/);
const mode = z.string().regex(/^[0-7]{4}$/);
const id = z.int().nonnegative();

const descriptionSchema = z.strictObject({
  directories: z
    .array(z.strictObject({ path, mode: mode.default('0755'), uid: id.default(0), gid: id.default(0) }))
    .default([]),
  symlinks: z.array(z.strictObject({ path, target: z.string().min(1) })).default([]),
  files: z
    .array(
      z.strictObject({
        path,
        mode: mode.default('0644'),
        uid: id.default(0),
        gid: id.default(0),
        content: z.string().default(''),
        fill: id.default(0),
        edit: z.string().default(''),
      }),
    )
    .default([]),
});

/** Adds everything that a description file lists. */
export async function addDescribed(tar: TreeTar, file: string): Promise<void> {
  const { directories, symlinks, files } = descriptionSchema.parse(parse(await readFile(file, 'utf8')));
  for (const { path, mode, uid, gid } of directories) {
    await tar.directory(path.slice(1), { mode: parseInt(mode, 8), uid, gid });
  }
  for (const { path, target } of symlinks) await tar.symlink(path.slice(1), target);
  for (const { path, mode, uid, gid, content, fill, edit } of files) {
    const body = fill > 0 ? generatedBytes(path, fill) : Buffer.from(content);
    body.write(edit, Math.floor(body.length / 2));
    await tar.file(path.slice(1), body, { mode: parseInt(mode, 8), uid, gid });
  }
}

/** The same bytes for the same seed and size; about as compressible as program code. */
export function generatedBytes(seed: string, size: number): Buffer {
  const blocks: Buffer[] = [];
  for (let filled = 0, counter = 0; filled < size; counter++) {
    const block = createHash('sha512').update(`${seed} ${counter}`).digest();
    blocks.push(block, block.subarray(0, 32), Buffer.alloc(32));
    filled += 128;
  }
  return Buffer.concat(blocks).subarray(0, size);
}
