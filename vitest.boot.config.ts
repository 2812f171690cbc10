import { basename } from 'node:path';
import { defineConfig } from 'vitest/config';
import type { TestSpecification } from 'vitest/node';
import { BaseSequencer } from 'vitest/node';

/** The longest first, so that no processor waits for the other at the end. */
const FIRST = ['device.test.ts', 'systemd.test.ts', 'power.test.ts', 'arm.test.ts', 'signature.test.ts'];

class LongestFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const place = FIRST.indexOf(basename(moduleId));
      return place < 0 ? FIRST.length : place;
    };
    return Promise.resolve([...files].sort((a, b) => rank(a) - rank(b)));
  }
}

/** Devices in QEMU, each on one processor and waiting now and then: three at a time, no second tries. */
export default defineConfig({
  test: {
    include: ['test/qemu/**/*.test.ts'],
    globalSetup: ['test/qemu/global-setup.ts'],
    testTimeout: 600_000,
    hookTimeout: 900_000,
    maxWorkers: 3,
    retry: 0,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
  },
});
