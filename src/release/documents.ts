/** Files about a build that become a part of its release: SBOM, list of packages, layers and their revisions. */
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { TreewrightError, systemErrorCode } from '../core/errors.ts';
import type { ManifestFile } from './manifest.ts';
import type { ReleaseFile } from './release-files.ts';
import { manifestFile } from './release-files.ts';

/** SBOMs of large images have tens of megabytes. */
export const MAX_DOCUMENT_SIZE = 256 * 1024 * 1024;

export interface Documents {
  /** Below the release's directory, under `documents/`. */
  readonly files: readonly ReleaseFile[];
  readonly manifest: readonly ManifestFile[];
}

/**
 * Reads the files; each keeps its own name. Throws `input/unreadable`, `input/large-document` and, for two files of
 * one name, `input/duplicate-document`.
 */
export async function readDocuments(paths: readonly string[]): Promise<Documents> {
  const files: ReleaseFile[] = [];
  const names = new Set<string>();
  for (const path of new Set(paths)) {
    const name = basename(path);
    if (names.has(name)) {
      throw new TreewrightError(
        'input/duplicate-document',
        `two documents have the name ${name}; the second one is ${path}: rename one of them`,
        { data: { path } },
      );
    }
    names.add(name);
    files.push([`documents/${name}`, await readDocument(path)]);
  }
  return { files, manifest: files.map(([path, bytes]) => manifestFile(path, bytes)) };
}

async function readDocument(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size <= MAX_DOCUMENT_SIZE) return await readFile(path);
    throw new TreewrightError(
      'input/large-document',
      `the document ${path} has ${size} bytes; at most ${MAX_DOCUMENT_SIZE} become part of a release`,
      { data: { path } },
    );
  } catch (error) {
    if (error instanceof TreewrightError) throw error;
    throw new TreewrightError(
      'input/unreadable',
      `the document ${path} cannot be read (${systemErrorCode(error) ?? 'unknown error'})`,
      { cause: error, data: { path } },
    );
  }
}
