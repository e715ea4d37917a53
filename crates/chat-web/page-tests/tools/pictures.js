// Draws the pictures of the page for the documents: a room on a working day, light and dark.
//
//     node tools/pictures.js DIRECTORY

import { closeBrowser, Line, say, Server, shows, visitor } from "../browser/harness.js";

const directory = process.argv[2] ?? ".";
const server = await Server.patient();
const alice = await Line.join(server, "alice", "ops");
const minsu = await Line.join(server, "민수", "ops");
const jose = await Line.join(server, "José", "ops");
alice.command({ cmd: "topic", room: "ops", text: "on call: kim · deploys on Thursday" });
await alice.sayMany("ops", ["Morning! The deploy of last night went out.", "Details: https://status.example.org/deploys/412"]);
await minsu.sayMany("ops", ["좋은 아침입니다. 결제 서버가 새벽에 잠깐 멈췄는데 지금은 괜찮아요.", "로그를 더 보고 있습니다"]);
await jose.sayMany("ops", ["The queue grew to 40,000 at 03:10, then the new workers took over and it was empty within four minutes. I'd raise the limit before the next one."]);
jose.command({ cmd: "act", room: "ops", text: "opens the graphs" });
await minsu.sayMany("ops", ["kim님, 오후에 같이 볼까요?"]);
for (const line of [alice, minsu]) {
  for (const room of ["dev", "lobby"]) line.command({ cmd: "join", room });
}

for (const colorScheme of ["light", "dark"]) {
  const visit = await visitor(server, { viewport: { width: 1100, height: 660 }, colorScheme, reducedMotion: "reduce" });
  const page = await visit.open(`#ops,dev,lobby?nick=kim`);
  await shows(page, "오후에 같이 볼까요");
  if (await page.locator("#members").isHidden()) await page.locator("#members-open").click();
  if (colorScheme === "light") await say(page, "네, 두 시에 봐요. Thanks, José!");
  await shows(page, "Thanks, José!");
  await alice.sayMany("dev", ["review, please", "kim: the parser is yours"]);
  alice.command({ cmd: "tell", to: "kim", text: "lunch?" });
  await page.locator("#direct-list .badge").waitFor();
  await page.locator(".room .badge.mentions").nth(1).waitFor();
  await page.locator("#field").focus();
  await page.screenshot({ path: `${directory}/page-${colorScheme}.png` });
  await visit.close();
}
await closeBrowser();
await server.stop();
process.exit();
