// Headless Chromium (Debian's package), driven by npm playwright-core.
import { chromium } from 'playwright-core';

// Starts a browser. As root, as in CI, Chromium runs only without its sandbox; it opens pages of this machine alone.
export const start = () => chromium.launch({
    executablePath: process.env.CHROMIUM, chromiumSandbox: process.getuid() !== 0,
    args: ['--disable-background-networking', '--disable-component-update', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1'],
});
