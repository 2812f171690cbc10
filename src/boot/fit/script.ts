/** boot.scr as a FIT image, for a U-Boot that must not run what nobody signed. */
import type { FitArch } from '../../formats/fit-source.ts';
import type { FitSigning } from './mkimage.ts';
import { makeFit } from './mkimage.ts';

/**
 * `source ADDRESS` of U-Boot takes the default image of such a file, since 2023.04 that of its default configuration
 * (cmd/source.c, boot/image-board.c): both are there, and both are signed.
 */
export function makeScriptFit(options: {
  readonly script: Uint8Array;
  readonly arch: FitArch;
  readonly signing: FitSigning;
  /** Seconds since 1970. */
  readonly time: number;
}): Promise<Uint8Array> {
  const { script, arch, signing, time } = options;
  return makeFit({
    source: {
      description: 'OSTree boot script',
      images: [{ name: 'script-1', description: 'boot.cmd', type: 'script', arch, file: 'boot.cmd' }],
      defaultImage: 'script-1',
      configurations: [{ name: 'conf-1', description: 'OSTree boot script', script: 'script-1' }],
      defaultConfiguration: 'conf-1',
    },
    files: new Map([['boot.cmd', script]]),
    signing,
    time,
  });
}
