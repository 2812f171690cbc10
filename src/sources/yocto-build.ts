/** What meta-treewright tells about a build besides what BitBake leaves: layers, and the sources of the kernel. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import { readTextIfThere } from './text-file.ts';
import type { KernelSource, Layer } from './types.ts';

/** BitBake says this where a layer is in no repository. */
const UNKNOWN = '<unknown>';

const buildInfo = z.object({
  layers: z.array(
    z.object({ name: z.string(), branch: z.string(), revision: z.string(), modified: z.boolean() }),
  ),
});

const kernelSource = z.object({
  version: z.string(),
  sources: z.array(z.object({ uri: z.string(), revision: z.string().optional() })),
});

/** The layers of build-info.json. Throws `input/unreadable`, `input/bad-build-info`. */
export async function readLayers(path: string): Promise<Layer[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new TreewrightError(
      'input/unreadable',
      `${path} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { path } },
    );
  });
  return decode(buildInfo, text, path).layers.map(({ name, branch, revision, modified }) =>
    revision === UNKNOWN
      ? { name }
      : { name, ...(branch === UNKNOWN ? {} : { branch }), revision, ...(modified ? { modified } : {}) },
  );
}

/** The file that treewright-kernel.bbclass has the kernel deploy; undefined when it is not there. */
export async function readKernelSource(path: string): Promise<KernelSource | undefined> {
  const text = await readTextIfThere(path);
  if (text === undefined) return undefined;
  const { version, sources } = decode(kernelSource, text, path);
  return {
    version,
    sources: sources.map(({ uri, revision }) => ({ uri, ...(revision === undefined ? {} : { revision }) })),
  };
}

function decode<T>(schema: z.ZodType<T>, text: string, path: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new TreewrightError(
      'input/bad-build-info',
      `${path} is not as meta-treewright writes it; remove it and build again`,
      { cause: error, data: { path } },
    );
  }
}
