/** FIT images: parts and a description of them in, the bytes that `mkimage` makes of them out. */
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { TreewrightError } from '../../core/errors.ts';
import { decodeFit } from '../../formats/fit-image.ts';
import type { FitAlgorithm, FitSource } from '../../formats/fit-source.ts';
import { renderFitSource } from '../../formats/fit-source.ts';
import { runProgram } from '../../platform/processes.ts';

/** Whose key signs. The key itself is read by `mkimage` alone. */
export interface FitSigning {
  /** Directory of `<key>.key`, a private key in PEM, and `<key>.crt`. */
  readonly keys: string;
  readonly key: string;
  readonly algorithm: FitAlgorithm;
}

export interface FitRequest {
  readonly source: Omit<FitSource, 'signature'>;
  /** Content of the files that the images name. */
  readonly files: ReadonlyMap<string, Uint8Array | AsyncIterable<Uint8Array>>;
  readonly signing?: FitSigning;
  /** Seconds since 1970; it is part of the image. */
  readonly time: number;
}

/** Room for hash and signature of each node, so that mkimage does not begin again and again with a larger tree. */
const NODE_ROOM = 2048;

/** Longer than any image takes; mkimage that waits for a passphrase never ends. Milliseconds. */
const TIMEOUT = 600_000;

/**
 * The same request with the same mkimage gives the same bytes.
 *
 * @throws TreewrightError `config/no-fit-key`, `config/fit-key`, `tool/missing`, `tool/failed`
 */
export async function makeFit({ source, files, signing, time }: FitRequest): Promise<Uint8Array> {
  if (signing !== undefined) await checkFitKey(signing);
  const directory = await mkdtemp(join(tmpdir(), 'treewright-fit-'));
  try {
    for (const [name, content] of files) await writeFile(join(directory, name), content);
    const signature = signing === undefined ? undefined : { algorithm: signing.algorithm, key: signing.key };
    const text = renderFitSource({ ...source, ...(signature === undefined ? {} : { signature }) });
    await writeFile(join(directory, 'image.its'), text);
    const room = NODE_ROOM * (source.images.length + source.configurations.length);
    // mkimage calls dtc, and says of a missing one only that it failed.
    await runProgram('dtc', ['--version'], { timeout: TIMEOUT });
    await runProgram(
      'mkimage',
      [
        ...['-q', '-D', `-I dts -O dtb -p ${room}`, '-f', 'image.its'],
        ...(signing === undefined ? [] : ['-k', resolve(signing.keys)]),
        'image.fit',
      ],
      { cwd: directory, env: { SOURCE_DATE_EPOCH: String(time), TZ: 'UTC' }, timeout: TIMEOUT },
    );
    const bytes = new Uint8Array(await readFile(join(directory, 'image.fit')));
    if (signing !== undefined) checkSignatures(bytes, signing);
    return bytes;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Throws `config/no-fit-key` when the private key is not there: mkimage would leave the image unsigned and succeed. */
export async function checkFitKey({ keys, key }: FitSigning): Promise<void> {
  const file = join(keys, `${key}.key`);
  try {
    await access(file, constants.R_OK);
  } catch (error) {
    throw new TreewrightError(
      'config/no-fit-key',
      `boot.fit names the key ${JSON.stringify(key)}, but ${file} is not there or cannot be read; ` +
        `make one with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out ${file}`,
      { cause: error, data: { file } },
    );
  }
}

/** Every image and configuration has a signature of the length that the algorithm gives. */
function checkSignatures(bytes: Uint8Array, { keys, key, algorithm }: FitSigning): void {
  const expected = Number(/rsa(\d+)$/.exec(algorithm)?.[1]) / 8;
  const { images, configurations } = decodeFit(bytes);
  const wrong = [...images, ...configurations].find(
    ({ signatures }) => signatures.length !== 1 || signatures[0] !== expected,
  );
  if (wrong === undefined) return;
  const found = wrong.signatures[0] ?? 0;
  throw new TreewrightError(
    'config/fit-key',
    `mkimage did not sign ${wrong.name} with ${join(keys, `${key}.key`)}: expected ${expected} bytes of signature, found ` +
      `${found}; the key must be an RSA key in PEM without passphrase, of the size that ${algorithm} says`,
    { data: { expected, found } },
  );
}
