// A BACnet client that is not ours: obeys one JSON order a line on standard input, answers one JSON line each.
// Orders: {do: "read", address, object: [type, instance], property, index?}, {do: "multiple", address, wanted: [...]},
//         {do: "follow", address, object, confirmed}: subscribes, and {do: "told"}: what has been told since, in order,
//         {do: "write", address, object, value, tag, priority}, {do: "whois", address}.
const Client = require("@bacnet-js/client");
const readline = require("node:readline");

const BACnet = Client.default ?? Client;
const [, , networkInterface, port] = process.argv;
const client = new BACnet({ interface: networkInterface, port: Number(port), apduTimeout: 2000 });

const object = ([type, instance]) => ({ type, instance });

async function obey(order) {
  const receiver = { address: order.address };
  switch (order.do) {
    case "read": {
      const options = order.index === undefined ? {} : { arrayIndex: order.index };
      const found = await client.readProperty(receiver, object(order.object), order.property, options);
      return found.values.map(({ type, value }) => ({ type, value }));
    }
    case "multiple": {
      const wanted = order.wanted.map((o) => ({ objectId: object(o), properties: [{ id: 85 }] }));
      const found = await client.readPropertyMultiple(receiver, wanted);
      return found.values.map((item) => item.values[0].value[0].value);
    }
    case "write":
      await client.writeProperty(receiver, object(order.object), 85, [{ type: order.tag, value: order.value }], {
        priority: order.priority,
      });
      return "written";
    case "follow": {
      await client.subscribeCov(receiver, object(order.object), 5, false, order.confirmed, 60);
      return "followed";
    }
    case "told": {
      while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      return told.splice(0);
    }
    case "whois": {
      const answer = new Promise((resolve) => client.once("iAm", (message) => resolve(message.payload.deviceId)));
      client.whoIs(receiver);
      return answer;
    }
    default:
      throw new Error(`${order.do} is no order`);
  }
}

const told = [];
const hear = ({ payload, header, invokeId }, confirmed) => {
  told.push(payload.values.map((item) => item.value[0].value));
  if (confirmed) client.simpleAckResponse({ address: header.sender.address }, 1, invokeId);
};
client.on("covNotifyUnconfirmed", (message) => hear(message, false));
client.on("covNotify", (message) => hear(message, true));

client.on("error", (error) => process.stderr.write(`${error}\n`));
const lines = readline.createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  let answer;
  try {
    answer = { found: await obey(JSON.parse(line)) };
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer, (key, value) => (typeof value === "bigint" ? Number(value) : value))}\n`);
});
lines.on("close", () => {
  client.close();
  process.exit(0);
});
