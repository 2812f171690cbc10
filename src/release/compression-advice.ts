/** Notes about files that are compressed inside: what they cost in this update, and what would change it. */
import type { Diagnostic } from '../core/diagnostics.ts';
import type { CompressedKind, CompressionCost } from '../delta/advice.ts';

const ADVICE: Readonly<Record<CompressedKind, readonly [one: string, many: string, advice: string]>> = {
  initramfs: [
    'the initramfs',
    'initramfs images',
    'set boot.initramfs.compression: none, or INITRAMFS_FSTYPES = "cpio"',
  ],
  modules: ['a kernel module', 'kernel modules', 'build the kernel with CONFIG_MODULE_COMPRESS_NONE'],
  firmware: ['a firmware file', 'firmware files', 'install the firmware uncompressed'],
  kernel: [
    'the kernel',
    'kernels',
    'set boot.fit.compression: none, or build an Image that is not compressed',
  ],
};

/** One note a kind, dearest first, as `compressionCosts` has them. */
export function compressionNotes(version: string, costs: readonly CompressionCost[]): Diagnostic[] {
  return costs.map((cost) => {
    const { kind, files, example, expectedBytes, uncompressedBytes, extraSpace } = cost;
    const [one, many, advice] = ADVICE[kind];
    const subject =
      files === 1
        ? `${one} (${example}) is compressed inside and costs`
        : `${files} ${many} are compressed inside and cost`;
    return {
      severity: 'note',
      code: 'input/compressed-content',
      message:
        `${subject} about ${expectedBytes} bytes of the update from ${version}; uncompressed about ${uncompressedBytes}, ` +
        `for ${extraSpace} bytes more on the device: ${advice}`,
      where: { kind: 'path', path: example },
    };
  });
}
