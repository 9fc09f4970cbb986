// What the scripts share: they end with status 1 and a line for each thing that is not as it should be.
"use strict";
const { isDeepStrictEqual, inspect } = require("node:util");

let wrong = 0;

exports.same = (what, got, want) => {
  if (isDeepStrictEqual(got, want)) return;
  console.error(`${what}: got ${inspect(got).slice(0, 200)}, want ${inspect(want).slice(0, 200)}`);
  wrong++;
};

// run calls main with the arguments of the program and ends it.
exports.run = (main) => {
  main(...process.argv.slice(2)).then(() => {
    console.log("end");
    process.exit(wrong ? 1 : 0);
  }, (err) => {
    console.error(err);
    process.exit(2);
  });
};
