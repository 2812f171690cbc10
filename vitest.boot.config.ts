import { defineConfig } from 'vitest/config';

/** Devices in QEMU, each on one processor: two at a time, no second tries. */
export default defineConfig({
  test: {
    include: ['test/qemu/**/*.test.ts'],
    globalSetup: ['test/qemu/global-setup.ts'],
    testTimeout: 600_000,
    hookTimeout: 900_000,
    maxWorkers: 2,
    retry: 0,
    pool: 'forks',
  },
});
