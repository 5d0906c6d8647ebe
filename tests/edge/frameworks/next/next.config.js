export default { serverExternalPackages: ['strongroom'] }
