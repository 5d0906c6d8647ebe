/** The folder of the built package: `pkg/dist`, or the folder in which `cargo xtask demo` has built only what it loads. */
export const dist = new URL(`../../${process.env.STRONGROOM_DIST ?? 'pkg/dist'}/`, import.meta.url)
