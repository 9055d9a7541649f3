// One unary call of raw bytes on grpc-js: node client.js ADDRESS.
'use strict';
const grpc = require('@grpc/grpc-js');

const client = new grpc.Client(process.argv[2], grpc.credentials.createInsecure());
const asIs = (octets) => octets;
client.makeUnaryRequest('/echo.Echo/Call', asIs, asIs, Buffer.from('abc'), { deadline: Date.now() + 5000 }, (error) => {
  client.close();
  if (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
});
