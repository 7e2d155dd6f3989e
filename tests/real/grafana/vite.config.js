// Bundles the page with Grafana's libraries, from the node_modules beside it.
import react from '@vitejs/plugin-react';

export default {
  plugins: [react()],
  base: './',
  define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'globalThis' },
  build: { minify: false, reportCompressedSize: false, chunkSizeWarningLimit: 1e6 },
};
