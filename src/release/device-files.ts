/** The scripts of layers/device, for images that no layer installed them into. */
import { readPackageFile } from '../platform/package-files.ts';
import type { DeviceFileName } from '../tree/device-files.ts';
import { DEVICE_FILES } from '../tree/device-files.ts';

export async function readDeviceFiles(): Promise<Map<DeviceFileName, Uint8Array>> {
  const files = new Map<DeviceFileName, Uint8Array>();
  for (const name of DEVICE_FILES) {
    const { text } = await readPackageFile(`layers/device/${name}`);
    files.set(name, Buffer.from(text));
  }
  return files;
}
