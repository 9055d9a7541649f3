// Runs a Python program in Pyodide, in Node.js: load.mjs PYODIDE SITE PROGRAM [ARGUMENT...]
// PYODIDE: the folder of the npm package; SITE: a folder of unpacked pure wheels and of what else is to be imported.
import { pathToFileURL } from "node:url";
import { readFileSync } from "node:fs";
import path from "node:path";

const [pyodideFolder, site, program, ...rest] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(path.resolve(pyodideFolder, "pyodide.mjs")));
const pyodide = await loadPyodide();
pyodide.FS.mkdirTree("/site");
pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: path.resolve(site) }, "/site");
pyodide.globals.set("ARGUMENTS", pyodide.toPy([program, ...rest]));
pyodide.runPython("import sys; sys.path[:0] = ['/site']; sys.argv = list(ARGUMENTS); sys.dont_write_bytecode = True");
let status = 0;
try {
  status = (await pyodide.runPythonAsync(readFileSync(program, "utf-8"), { filename: program })) ?? 0;
} catch (error) {
  console.error(error.message);
  status = 1;
}
process.exit(Number(status) || 0);
