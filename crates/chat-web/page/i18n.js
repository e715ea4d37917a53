// The texts of the page, in English and Korean, by the browser's language.

/** @typedef {"en" | "ko"} Language */
/** @typedef {{ [name: string]: string | number }} Values */

const en = {
  app: "Chat",
  rooms: "Rooms",
  direct: "Direct messages",
  joinRoom: "Join a room",
  settings: "Settings",
  search: "Search",
  members: "Members",
  membersCount: "{n} members",
  member1: "1 member",
  more: "and {n} more",
  close: "Close",
  menu: "Rooms and messages",
  noTopic: "No topic",
  setTopic: "Set the topic",
  messages: "Messages in {room}",
  messageField: "Message to {room}",
  send: "Send",
  skip: "Skip to the message field",
  nick: "Your name",
  nickHint: "1 to 32 letters, without a space",
  guest: "Leave it empty to be a guest.",
  room: "Room",
  roomHint: "Several with commas; empty for the lobby",
  enter: "Join",
  entering: "Joining…",
  welcome: "Talk with everyone who is here. No account is needed.",
  connecting: "Connecting…",
  offlineNow: "Offline. Your messages are kept and sent later.",
  retryNow: "Try now",
  endedTaken: "This conversation continues in another window.",
  endedKicked: "The session was ended: {reason}",
  endedQuit: "You left.",
  ended: "The session has ended.",
  again: "Join again",
  unreadLine: "New",
  latest: "To the latest",
  latestNew: "{n} new",
  beginning: "This is where #{room} begins.",
  noEarlier: "The server has no earlier messages of #{room}.",
  directBeginning: "Only you and {nick} see this. The server keeps none of it.",
  loading: "Loading…",
  today: "Today",
  yesterday: "Yesterday",
  gap: "{n} messages are missing: {why}",
  gapSome: "Messages are missing: {why}",
  gapExpired: "the server no longer has them.",
  gapEpoch: "the room's log began anew.",
  gapUnavailable: "the log cannot be read now.",
  joined: "{who} joined",
  left: "{who} left",
  renamed: "{who} is now {to}",
  removedYou: "You were taken out of this room. {reason}",
  setsTopic: "{who} set the topic: {text}",
  clearsTopic: "{who} removed the topic",
  pending: "Sending…",
  queued: "Will be sent when online",
  failed: "Not sent: {why}",
  unknown: "It is not known whether this was sent.",
  retry: "Send again",
  discard: "Discard",
  you: "you",
  unread: "{n} unread",
  mentions: "{n} mentions",
  leave: "Leave {room}",
  searchIn: "Search in #{room}",
  searchHint: "All words must occur",
  searching: "Searching…",
  found0: "Nothing was found.",
  found: "{n} found",
  olderFinds: "Older finds",
  searchGap: "Some messages are not indexed yet.",
  noSearchDirect: "Direct messages are not kept, so they cannot be searched.",
  allRooms: "Rooms on this server",
  newRoom: "Name of a room",
  open: "Open",
  noRooms: "No rooms yet.",
  moreRooms: "More rooms",
  isIn: "joined",
  theme: "Appearance",
  themeAuto: "As the system",
  themeLight: "Light",
  themeDark: "Dark",
  notify: "Notify me when I am mentioned",
  notifyDenied: "The browser does not allow notifications from this page.",
  notifyInsecure: "Browsers allow notifications only over HTTPS or on this machine.",
  sound: "Play a sound when I am mentioned",
  changeNick: "Change",
  nickNow: "You are {nick} now.",
  nickOther: "{wanted} is taken, so you are {nick}.",
  help: "Commands and keys",
  helpKeys: "Keys",
  helpCommands: "Commands",
  keySend: "Send",
  keyLine: "New line: each line is a message",
  keyComplete: "Complete a name or a command",
  keyRooms: "The room above, below",
  keyUnread: "The next room with unread messages",
  keySearch: "Search",
  keyJoin: "Join a room",
  keyScroll: "Scroll the messages",
  keyEscape: "To the end, and to the message field",
  cmd_help: "Shows this.",
  cmd_join: "Joins a room, or opens it.",
  cmd_leave: "Leaves this room.",
  cmd_me: "Shows you doing something.",
  cmd_msg: "Says something to one member alone.",
  cmd_nick: "Changes your name.",
  cmd_quit: "Ends the session.",
  cmd_rooms: "Lists the rooms.",
  cmd_search: "Searches this room.",
  cmd_topic: "Sets the topic; - removes it.",
  cmd_who: "Shows the members.",
  unknownCommand: "There is no /{name}. Did you mean /{nearest}?",
  incomplete: "/{name} needs more: {args}",
  tooLong: "Too long: {n} of {max} bytes",
  length: "{n} of {max} bytes",
  tooMany: "At most {n} lines at once",
  nowhere: "Join a room first.",
  offlineCommand: "That needs a connection.",
  newMessages: "{n} new messages in {room}",
  says: "{from} in {room}: {text}",
  tells: "{from} to you: {text}",
  completions: "Suggestions",
  nickTaken: "That name is taken: choose another.",
  noRoom: "You are in no room.",
  write: "Write to {nick}",
};

/** @type {typeof en} */
const ko = {
  app: "채팅",
  rooms: "방",
  direct: "쪽지",
  joinRoom: "방에 들어가기",
  settings: "설정",
  search: "검색",
  members: "참여자",
  membersCount: "{n}명",
  member1: "1명",
  more: "외 {n}명",
  close: "닫기",
  menu: "방과 쪽지",
  noTopic: "주제 없음",
  setTopic: "주제 정하기",
  messages: "{room}의 메시지",
  messageField: "{room}에 보낼 메시지",
  send: "보내기",
  skip: "메시지 입력란으로",
  nick: "이름",
  nickHint: "띄어쓰기 없이 1~32자",
  guest: "비워 두면 손님으로 들어갑니다.",
  room: "방",
  roomHint: "여러 개는 쉼표로, 비우면 로비로",
  enter: "들어가기",
  entering: "들어가는 중…",
  welcome: "지금 있는 사람들과 이야기하세요. 계정은 필요 없습니다.",
  connecting: "연결하는 중…",
  offlineNow: "연결이 끊겼습니다. 메시지는 보관했다가 보냅니다.",
  retryNow: "지금 연결",
  endedTaken: "다른 창에서 대화를 이어 가고 있습니다.",
  endedKicked: "접속이 종료되었습니다: {reason}",
  endedQuit: "나갔습니다.",
  ended: "접속이 끝났습니다.",
  again: "다시 들어가기",
  unreadLine: "새 메시지",
  latest: "최근 메시지로",
  latestNew: "새 메시지 {n}개",
  beginning: "#{room} 방은 여기서 시작합니다.",
  noEarlier: "서버에 #{room} 방의 더 오래된 메시지가 없습니다.",
  directBeginning: "{nick} 님과 둘만 볼 수 있습니다. 서버에 남지 않습니다.",
  loading: "불러오는 중…",
  today: "오늘",
  yesterday: "어제",
  gap: "메시지 {n}개가 없습니다: {why}",
  gapSome: "없는 메시지가 있습니다: {why}",
  gapExpired: "서버에 남아 있지 않습니다.",
  gapEpoch: "방의 기록이 새로 시작되었습니다.",
  gapUnavailable: "지금은 기록을 읽을 수 없습니다.",
  joined: "{who} 님이 들어왔습니다",
  left: "{who} 님이 나갔습니다",
  renamed: "{who} 님의 새 이름은 {to}",
  removedYou: "이 방에서 내보내졌습니다. {reason}",
  setsTopic: "{who} 님이 주제를 정했습니다: {text}",
  clearsTopic: "{who} 님이 주제를 지웠습니다",
  pending: "보내는 중…",
  queued: "연결되면 보냅니다",
  failed: "보내지 못했습니다: {why}",
  unknown: "보내졌는지 알 수 없습니다.",
  retry: "다시 보내기",
  discard: "지우기",
  you: "나",
  unread: "안 읽음 {n}개",
  mentions: "나를 부름 {n}개",
  leave: "{room}에서 나가기",
  searchIn: "#{room}에서 검색",
  searchHint: "모든 낱말이 들어 있는 메시지",
  searching: "찾는 중…",
  found0: "찾은 메시지가 없습니다.",
  found: "{n}개 찾음",
  olderFinds: "더 오래된 결과",
  searchGap: "아직 색인되지 않은 메시지가 있습니다.",
  noSearchDirect: "쪽지는 남지 않으므로 검색할 수 없습니다.",
  allRooms: "이 서버의 방",
  newRoom: "방 이름",
  open: "열기",
  noRooms: "아직 방이 없습니다.",
  moreRooms: "방 더 보기",
  isIn: "참여 중",
  theme: "화면",
  themeAuto: "시스템 설정",
  themeLight: "밝게",
  themeDark: "어둡게",
  notify: "누가 나를 부르면 알림",
  notifyDenied: "브라우저가 이 페이지의 알림을 허용하지 않습니다.",
  notifyInsecure: "알림은 HTTPS이거나 이 컴퓨터일 때만 쓸 수 있습니다.",
  sound: "누가 나를 부르면 소리",
  changeNick: "바꾸기",
  nickNow: "이제 이름은 {nick}입니다.",
  nickOther: "{wanted}은(는) 이미 있어서 {nick}(으)로 들어왔습니다.",
  help: "명령과 단축키",
  helpKeys: "단축키",
  helpCommands: "명령",
  keySend: "보내기",
  keyLine: "줄 바꿈: 한 줄이 메시지 하나",
  keyComplete: "이름이나 명령 완성",
  keyRooms: "위 방, 아래 방",
  keyUnread: "안 읽은 다음 방",
  keySearch: "검색",
  keyJoin: "방에 들어가기",
  keyScroll: "메시지 넘기기",
  keyEscape: "맨 끝으로, 입력란으로",
  cmd_help: "이 도움말을 보여 줍니다.",
  cmd_join: "방에 들어가거나 새로 엽니다.",
  cmd_leave: "이 방에서 나갑니다.",
  cmd_me: "하는 일을 보여 줍니다.",
  cmd_msg: "한 사람에게만 말합니다.",
  cmd_nick: "이름을 바꿉니다.",
  cmd_quit: "접속을 끝냅니다.",
  cmd_rooms: "방 목록을 봅니다.",
  cmd_search: "이 방에서 찾습니다.",
  cmd_topic: "주제를 정합니다. -는 지웁니다.",
  cmd_who: "참여자를 봅니다.",
  unknownCommand: "/{name} 명령은 없습니다. /{nearest}인가요?",
  incomplete: "/{name} 뒤에 더 필요합니다: {args}",
  tooLong: "너무 깁니다: {n}/{max}바이트",
  length: "{n}/{max}바이트",
  tooMany: "한 번에 {n}줄까지",
  nowhere: "먼저 방에 들어가세요.",
  offlineCommand: "연결된 뒤에 할 수 있습니다.",
  newMessages: "{room}에 새 메시지 {n}개",
  says: "{room}, {from}: {text}",
  tells: "{from} 님의 쪽지: {text}",
  completions: "추천",
  nickTaken: "이미 있는 이름입니다. 다른 이름을 고르세요.",
  noRoom: "들어간 방이 없습니다.",
  write: "{nick} 님에게 쪽지",
};

/** @typedef {keyof typeof en} TextName */

const texts = { en, ko };

/**
 * The first of the languages that the page speaks.
 * @param {readonly string[]} languages @returns {Language}
 */
export function languageOf(languages) {
  for (const language of languages) {
    const base = language.toLowerCase().split("-")[0];
    if (base === "ko" || base === "en") return base;
  }
  return "en";
}

/**
 * Puts values into a text. A value is not read again, so it may hold braces.
 * @param {string} text @param {Values} [values]
 */
export function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

export class Texts {
  /** @param {Language} language */
  constructor(language) {
    this.language = language;
    this.clock = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" });
    this.day = new Intl.DateTimeFormat(language, { weekday: "long", year: "numeric", month: "long", day: "numeric" });
    this.full = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "medium" });
    this.collator = new Intl.Collator(language, { sensitivity: "base" });
  }

  /** @param {TextName} name @param {Values} [values] */
  t(name, values) {
    return fill(texts[this.language][name], values);
  }

  /** @param {number} ts @param {number} now */
  dayName(ts, now) {
    const date = new Date(ts).toDateString();
    if (date === new Date(now).toDateString()) return this.t("today");
    const yesterday = new Date(now);
    yesterday.setDate(yesterday.getDate() - 1);
    return date === yesterday.toDateString() ? this.t("yesterday") : this.day.format(ts);
  }

  /** @param {number} n */
  membersCount(n) {
    return n === 1 ? this.t("member1") : this.t("membersCount", { n });
  }
}

/** For tests: both tables. */
export const tables = texts;
