// The page of the word cloud system: sign in, upload a text, see the picture, look at what was uploaded before.

const TEXTS = {
  en: {
    title: "Word cloud", registry: "Registry", signIn: "Sign in", signOut: "Sign out", name: "Name", password: "Password",
    newOne: "A new picture", language: "Language of the text", top: "Words, 0 for all", file: "A text of up to 1 MiB",
    draw: "Draw", tasks: "My tasks", refresh: "Refresh", source: "Text", tongueOf: "Language", picture: "Picture",
    status: "Status", created: "Created", none: "Nothing yet. The first picture will be here.", before: "Newer",
    after: "Older", sent: "sent", drawing: "Drawing…", drawn: "Drawn in {0} s", page: "{0} of {1}", open: "open",
    states: ["waiting", "being drawn", "done", "failed"], cloudOf: "Word cloud of {0}",
    unreachable: "The server cannot be reached.", tooLarge: "The file has more than 1 MiB.",
  },
  zh: {
    title: "词云", registry: "服务列表", signIn: "登录", signOut: "退出", name: "用户名", password: "密码",
    newOne: "新的词云图", language: "文本语言", top: "词数，0 表示全部", file: "文本文件，最大 1 MiB",
    draw: "生成", tasks: "我的任务", refresh: "刷新", source: "文本", tongueOf: "语言", picture: "图片",
    status: "状态", created: "创建时间", none: "还没有任务。第一张图片会显示在这里。", before: "较新",
    after: "较旧", sent: "已上传", drawing: "正在生成…", drawn: "用时 {0} 秒", page: "第 {0} 页，共 {1} 页", open: "打开",
    states: ["等待", "生成中", "完成", "失败"], cloudOf: "{0} 的词云图",
    unreachable: "无法连接服务器。", tooLarge: "文件超过 1 MiB。",
  },
};
const STYLES = ["busy", "busy", "done", "broken"];
const PAGE_SIZE = 10;
const MOST_BYTES = 1024 * 1024;

const $ = (id) => document.getElementById(id);
let tongue = localStorage.getItem("tongue") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
let token = sessionStorage.getItem("token") ?? "";
let page = 1;
let asked = 0;
let listed = null; // the tasks on the page, which a change of the language shows again without asking for them

function say(name, ...values) {
  return values.reduce((text, value, at) => text.replace(`{${at}}`, value), TEXTS[tongue][name]);
}

function speak() {
  document.documentElement.lang = tongue;
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = say(element.dataset.text, ...JSON.parse(element.dataset.values ?? "[]"));
  }
  if ($("picture").dataset.file) $("picture").alt = say("cloudOf", $("picture").dataset.file);
  $("tongue").textContent = tongue === "en" ? "中文" : "English";
  $("tongue").lang = tongue === "en" ? "zh" : "en";
}

/** Says something in an element, and says it again when the language changes; hush() takes it back. */
function tell(element, name, ...values) {
  element.dataset.text = name;
  element.dataset.values = JSON.stringify(values);
  element.textContent = say(name, ...values);
}

function hush(...elements) {
  for (const element of elements) {
    delete element.dataset.text;
    element.textContent = "";
  }
}

async function ask(path, options = {}) {
  const asker = token; // an answer may come when somebody else has signed in
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: token ? { authorization: `Bearer ${token}` } : {} });
  } catch {
    throw new Error(say("unreachable"));
  }
  if (answer.status === 401 && asker && asker === token) signedOut();
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

/** Where the browser finds what the store has: bff passes it on. */
function stored(url) {
  return `/oss${new URL(url).pathname}`;
}

function signedOut() {
  token = "";
  sessionStorage.removeItem("token");
  asked++; // what is still being answered was for somebody else than who signs in next
  listed = null;
  $("tasks").replaceChildren();
  page = 1;
  show();
}

async function show() {
  $("sign-in").hidden = Boolean(token);
  for (const id of ["inside", "out"]) $(id).hidden = !token;
  $("who").hidden = !token;
  if (!token) {
    $("sign-in").elements[token ? "username" : "password"].focus();
    return;
  }
  const asker = token;
  try {
    const { username } = (await ask("/usersvc/me")).data;
    if (asker !== token) return;
    $("who").textContent = username;
    await list();
  } catch (error) {
    if (asker === token) $("upload").querySelector(".failed").textContent = error.message;
  }
}

function cell(row, content, kind = "") {
  const made = row.insertCell();
  made.append(content);
  made.className = kind;
}

function link(url, content) {
  const made = document.createElement("a");
  made.href = url;
  made.target = "_blank";
  made.rel = "noopener";
  made.append(content);
  return made;
}

async function list() {
  const turn = ++asked;
  let found;
  try {
    found = (await ask(`/task/page?page=${page}&pageSize=${PAGE_SIZE}`)).result;
  } catch (error) {
    if (turn === asked) throw error;
  }
  if (turn !== asked) return; // a later question, which may have been answered first, says more
  listed = found;
  showListed();
}

function pages() {
  return listed ? Math.max(1, Math.ceil(listed.total / PAGE_SIZE)) : 1;
}

function showListed() {
  const found = listed;
  const rows = found.items.map((task) => {
    const row = document.createElement("tr");
    cell(row, task.id, "number");
    cell(row, link(stored(task.srcUrl), say("open")));
    cell(row, task.lang === "zh" ? "中文" : "English");
    if (task.imgUrl) {
      const picture = new Image(96, 72);
      picture.src = stored(task.imgUrl);
      picture.alt = say("cloudOf", task.id);
      picture.loading = "lazy";
      cell(row, link(stored(task.imgUrl), picture));
    } else {
      cell(row, "–");
    }
    const state = TEXTS[tongue].states[task.status];
    cell(row, task.error ? `${state}: ${task.error}` : state, `${STYLES[task.status]} why`);
    cell(row, task.createAt);
    return row;
  });
  $("tasks").replaceChildren(...rows);
  $("none").hidden = found.total > 0;
  $("where").textContent = say("page", found.pageNo, pages());
  $("before").disabled = found.pageNo <= 1;
  $("after").disabled = !found.hasNext;
}

/** Uploads a form; XMLHttpRequest, because fetch does not tell how much has been sent. */
function send(form, progress, state) {
  const asker = token;
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/upload");
    request.setRequestHeader("authorization", `Bearer ${token}`);
    request.upload.onprogress = (event) => { progress.value = event.loaded / event.total; };
    request.upload.onload = () => { progress.removeAttribute("value"); tell(state, "drawing"); };
    request.onerror = () => reject(new Error(say("unreachable")));
    request.onload = () => {
      if (request.status === 401 && asker === token) signedOut();
      if (request.status === 200) resolve(JSON.parse(request.responseText).data);
      else reject(new Error(request.responseText));
    };
    request.send(form);
  });
}

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const failed = form.querySelector(".failed");
  failed.textContent = "";
  try {
    const body = new URLSearchParams(new FormData(form));
    token = (await ask("/usersvc/public/log/in", { method: "POST", body })).data;
    sessionStorage.setItem("token", token);
    form.elements.password.value = "";
    hush(...$("upload").querySelectorAll(".state, .failed")); // what was before them was for who was signed in then
    $("upload").querySelector("figure").hidden = true;
    await show();
  } catch (error) {
    failed.textContent = error.message;
  }
});

$("upload").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.currentTarget;
  const [progress, state, failed, figure] = ["progress", ".state", ".failed", "figure"].map((part) => form.querySelector(part));
  const button = form.querySelector("button");
  const file = form.elements.file.files[0];
  hush(failed, state);
  figure.hidden = true;
  if (file.size > MOST_BYTES) {
    tell(failed, "tooLarge");
    return;
  }
  const began = performance.now(), asker = token;
  progress.hidden = false;
  progress.value = 0;
  button.disabled = true;
  try {
    const made = await send(new FormData(form), progress, state);
    if (asker === token) {
      $("picture").src = stored(made.imgUrl);
      $("picture").dataset.file = figure.querySelector("figcaption").textContent = file.name;
      $("picture").alt = say("cloudOf", file.name);
      figure.hidden = false;
      tell(state, "drawn", ((performance.now() - began) / 1000).toFixed(1));
    }
  } catch (error) {
    if (asker === token) {
      hush(state);
      failed.textContent = error.message;
    }
  }
  progress.hidden = true;
  button.disabled = false;
  if (!token || asker !== token) return;
  page = 1;
  await list().catch((error) => { failed.textContent = error.message; });
});

$("tongue").addEventListener("click", () => {
  tongue = tongue === "en" ? "zh" : "en";
  localStorage.setItem("tongue", tongue);
  speak();
  if (listed) showListed();
});
$("out").addEventListener("click", async () => {
  const asker = token;
  await ask("/usersvc/logout").catch(() => {});
  if (asker === token) signedOut();
});
for (const [id, step] of [["before", -1], ["after", 1], ["again", 0]]) {
  $(id).addEventListener("click", () => {
    page = Math.min(pages(), Math.max(1, page + step)); // who clicks twice before the answer stays inside
    list().catch((error) => { $("upload").querySelector(".failed").textContent = error.message; });
  });
}

speak();
show();
