/** Which kernel a tree boots: image, release, initramfs and device trees from outside or inside the tree. */
import type { Diagnostic } from '../core/diagnostics.ts';
import type { ErrorCode } from '../core/errors.ts';
import { isKernelRelease } from '../formats/kernel-image.ts';
import type { ContentSink, FileTree, KernelFiles, RegularFile } from '../tree/types.ts';
import { rootStat } from '../tree/walk.ts';
import type { DeviceTreeFile } from './boot-files.ts';
import { storeBootFile, storeDeviceTrees, storeKernel } from './boot-files.ts';
import type { FactsCollector, KernelProbe } from './facts-collector.ts';
import {
  bootImages,
  findTreeDeviceTrees,
  findTreeInitramfs,
  findTreeKernel,
  moduleReleases,
} from './tree-kernel.ts';

/** What the build says about its boot files, by their paths outside the tree. */
export interface BootFiles {
  readonly kernel?: string;
  /** File name the kernel goes by, when its path has another one. */
  readonly kernelName?: string;
  readonly kernelRelease?: string;
  /** A name for the modules directory of a kernel that neither has modules nor tells its release. */
  readonly fallbackRelease?: string;
  readonly initramfs?: string;
  /** The initramfs is inside the kernel image. */
  readonly bundled?: boolean;
  readonly deviceTrees?: readonly DeviceTreeFile[];
  /** Where a kernel was looked for, for the message when there is none. */
  readonly searched: string;
}

export interface FoundKernel {
  readonly kernel?: KernelFiles;
  readonly diagnostics: readonly Diagnostic[];
}

/** More device trees than a product needs fill /boot: each deployment has its own copy. */
const MANY_DEVICE_TREES = 30;

export async function findKernel(
  tree: FileTree,
  boot: BootFiles,
  sink: ContentSink,
  facts: FactsCollector,
): Promise<FoundKernel> {
  const diagnostics: Diagnostic[] = [];
  const tell = (severity: Diagnostic['severity'], code: ErrorCode, message: string): void =>
    void diagnostics.push({ severity, code, message });

  const modules = moduleReleases(tree);
  const images = bootImages(tree);
  const candidates = modules.length > 0 ? modules : [...new Set(images.map(({ release }) => release))];
  const known = boot.kernelRelease ?? (candidates.length === 1 ? candidates[0] : undefined);
  const outside = boot.kernel === undefined ? undefined : await storeKernel(boot.kernel, sink);

  if (boot.kernelRelease !== undefined && !isKernelRelease(boot.kernelRelease)) {
    tell(
      'error',
      'input/bad-kernel-release',
      `${JSON.stringify(boot.kernelRelease)} cannot be a kernel release; expected a name such as 6.1.0-50-arm64`,
    );
    return { diagnostics };
  }
  if (known === undefined && candidates.length > 1) {
    tell(
      'error',
      'input/several-kernels',
      `the tree has ${candidates.length} kernels (${candidates.join(', ')}), but a deployment boots the first one it ` +
        'finds; build with one, or name it with kernel-release',
    );
    return { diagnostics };
  }
  const inside = outside === undefined ? findTreeKernel(tree, known) : undefined;
  const image = outside?.file ?? inside?.file;
  if (image === undefined) {
    tell(
      'error',
      'input/no-kernel',
      `no kernel image was found: not ${boot.searched}, not in /usr/lib/modules/${known ?? '<release>'}/vmlinuz, ` +
        'not in /boot; build one, or name its file',
    );
    return { diagnostics };
  }
  const probe = outside?.probe ?? probeOf(image, facts);
  const release = known ?? probe?.release ?? boot.fallbackRelease;
  if (release === undefined) {
    tell(
      'error',
      'input/no-kernel-release',
      'the kernel release is not known: the tree has no modules, and the kernel image does not tell it ' +
        '(compressed images do not); name it with kernel-release, such as 6.1.0-50-arm64',
    );
    return { diagnostics };
  }
  if (modules.length > 0 && probe?.release !== undefined && probe.release !== release) {
    tell(
      'warning',
      'input/kernel-release-mismatch',
      `the kernel image is ${probe.release}, but the modules are for ${release}: the kernel will find none of them; ` +
        'rebuild both together',
    );
  }
  if (boot.kernelRelease !== undefined && modules.length > 0 && !modules.includes(boot.kernelRelease)) {
    tell(
      'warning',
      'input/kernel-release-mismatch',
      `kernel-release is ${boot.kernelRelease}, but the tree has modules for ${modules.join(', ')} only`,
    );
  }

  const initramfs =
    boot.initramfs !== undefined
      ? await storeBootFile(boot.initramfs, 'the initramfs', sink)
      : boot.bundled === true || probe?.format === 'fit'
        ? // An empty one keeps libostree from adding init=, which an initramfs inside the kernel must not get.
          EMPTY_INITRAMFS
        : findTreeInitramfs(tree, release);
  const outsideTrees = boot.deviceTrees ?? [];
  const deviceTrees =
    outsideTrees.length > 0
      ? await storeDeviceTrees(outsideTrees, sink)
      : probe?.format === 'fit'
        ? new Map<string, RegularFile>()
        : findTreeDeviceTrees(tree, release);
  if (deviceTrees.size > MANY_DEVICE_TREES) {
    const bytes = [...deviceTrees.values()].reduce(
      (sum, { content }) => sum + (content.kind === 'stored' ? content.size : 0),
      0,
    );
    tell(
      'warning',
      'input/many-device-trees',
      `${deviceTrees.size} device trees (${Math.ceil(bytes / 1024)} KiB) will be copied to /boot for each deployment; ` +
        'name those that the product needs with device-trees',
    );
  }
  const imageName = boot.kernelName ?? (boot.kernel === undefined ? inside?.name : baseName(boot.kernel));
  return {
    kernel: {
      release,
      imageName: imageName ?? 'vmlinuz',
      image,
      deviceTrees,
      ...(initramfs === undefined ? {} : { initramfs }),
    },
    diagnostics,
  };
}

const EMPTY_INITRAMFS: RegularFile = {
  kind: 'file',
  stat: rootStat.file(),
  content: { kind: 'inline', bytes: new Uint8Array(0) },
};

function probeOf(image: RegularFile, facts: FactsCollector): KernelProbe | undefined {
  return image.content.kind === 'stored' ? facts.kernel(image.content.checksum) : undefined;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
