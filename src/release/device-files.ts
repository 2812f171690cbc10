/** The scripts of layers/device, for images that no layer installed them into. */
import { readFile } from 'node:fs/promises';
import type { DeviceFileName } from '../tree/device-files.ts';
import { DEVICE_FILES } from '../tree/device-files.ts';

/** layers/device of the package, from src/release as well as from dist/release. */
const DIRECTORY = new URL('../../layers/device/', import.meta.url);

export async function readDeviceFiles(): Promise<Map<DeviceFileName, Uint8Array>> {
  const files = new Map<DeviceFileName, Uint8Array>();
  for (const name of DEVICE_FILES) files.set(name, await readFile(new URL(name, DIRECTORY)));
  return files;
}
