import { expect, test } from "bun:test";

import { signatureHeaders } from "../../src/callbacks/signature.ts";

test("a message is signed as the test vector of Standard Webhooks is", () => {
  const secret = Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64");
  const message = {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    // Its time is in whole seconds.
    sentAtMs: 1_614_265_330_999,
    body: '{"test": 2432232314}',
  };
  expect(signatureHeaders(secret, message)).toEqual({
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});
