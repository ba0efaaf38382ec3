//! The frame, the start page, settings.

super::table!(Studio {
    product: "Burnish", "Burnish";
    skip: "Skip to the content", "跳到正文";
    nav_label: "Main", "主导航";
    nav_start: "Start", "开始";
    nav_datasets: "Datasets", "数据集";
    nav_models: "Models", "模型";
    nav_runs: "Runs", "训练";
    nav_play: "Playground", "对话";
    nav_help: "Help", "帮助";
    nav_settings: "Settings", "设置";
    cpu_busy: "{0} · {1} % busy", "{0} · 占用 {1} %";
    memory: "Memory {0} of {1}", "内存 {0} / {1}";
    limits: "Limits", "限制";
    limits_text: "A file, a template or a model that asks for more is refused with the name of the limit it met. Whoever starts the server changes those in small letters with BURNISH_LIMITS, for example columns=20000,row_bytes=67108864; the first three have a variable of their own.", "文件、模板或模型超出限制时会被拒绝，并说明遇到了哪一项。启动服务器的人可用 BURNISH_LIMITS 修改小写名称的各项，例如 columns=20000,row_bytes=67108864；前三项有自己的变量。";
    limit_changed: "changed", "已修改";
    machine: "This machine", "本机";
    retry: "Try again", "重试";
    cancel: "Cancel", "取消";
    close: "Close", "关闭";
    delete: "Delete", "删除";
    previous: "Previous", "上一页";
    next: "Next", "下一页";
    loading: "Reading from the server", "正在读取";
    missing_title: "There is no such page", "没有这个页面";
    missing_text: "The address may be mistyped, or what was here has been deleted.", "地址可能有误,或者内容已被删除。";
    missing_back: "Go to the start", "回到开始页";

    hero: "Teach a model something only your team knows.", "教模型一些只有你们团队知道的事。";
    hero_text: "Bring questions and answers, watch it learn, then ask it yourself. Everything stays on this machine.", "准备好问题和回答,看着它学习,然后亲自提问。所有内容都留在这台机器上。";
    try_now: "Try it now, about 3 minutes", "现在试试,约 3 分钟";
    try_starting: "Starting", "正在开始";
    own_data: "Bring my own data", "用自己的数据";
    try_note_starter: "Uses SmolLM2-135M and a made-up company.", "使用 SmolLM2-135M 和一家虚构的公司。";
    try_note_scratch: "Uses a small model made on the spot and a made-up company.", "使用当场新建的小模型和一家虚构的公司。";
    start_runs: "Runs", "训练";
    start_all_runs: "All runs", "全部训练";
    start_empty: "Nothing has been trained yet. “Try it now” starts a first run; it takes about three minutes.", "还没有训练过。点“现在试试”开始第一次训练,大约三分钟。";
    how_title: "How it goes", "过程";
    how_1: "Give it rows", "给它数据";
    how_1_text: "A file of questions and answers. Burnish tells you which rows teach and which do not.", "一个问答文件。Burnish 会说明哪些行有用、哪些没用。";
    how_2: "Watch it learn", "看它学习";
    how_2_text: "The loss falls while the run goes. You may stop and go on at any time.", "训练时损失会下降。随时可以停下,之后再继续。";
    how_3: "Ask before and after", "前后对比提问";
    how_3_text: "The same question to both models, side by side.", "同一个问题问两个模型,并排比较。";
    how_current: "The last finished run can be asked now:", "最近完成的训练现在就可以提问:";

    settings_title: "Settings", "设置";
    settings_text: "Kept in this browser.", "保存在这个浏览器里。";
    theme: "Colours", "颜色";
    theme_system: "As the system", "跟随系统";
    theme_light: "Light", "浅色";
    theme_dark: "Dark", "深色";
    language: "Language", "语言";
    version: "Version", "版本";
    device: "Device", "设备";
    cores: "Cores", "核心数";
    disk: "Free disk", "磁盘剩余";
    memory_word: "Memory", "内存";
    starter_there: "The starter model is at hand.", "入门模型已就绪。";
    starter_missing: "The starter model is not at hand; “Try it now” makes a small one from scratch.", "入门模型不在;“现在试试”会从零建一个小模型。";
    kept: "Models kept in this browser", "留存在本浏览器中的模型";
    kept_text: "They answer without the server. Nothing of them is kept anywhere else on this device.", "它们不经过服务器就能回答,除此之外不在本设备上留存。";
    kept_none: "None. Load one in the playground.", "暂无。可在“对话”中载入。";
    kept_delete: "Delete {0} from this browser", "从本浏览器中删除 {0}";

    stopped: "This page stopped working. What you typed is kept.", "这个页面停止工作了。填写的内容已保留。";
    stopped_reload: "Reload", "重新加载";
    no_script: "The studio needs JavaScript. Without it these pages can be read, but their buttons do nothing.", "本工作室需要 JavaScript。没有它，页面可以阅读，但按钮不起作用。";
    heard: "Heard. It is done as soon as the page has loaded.", "已收到，页面加载完就会执行。";
    not_done: "The page has not loaded, so what you pressed was not done. Load it anew and press again.", "页面没有加载完，刚才的操作没有执行。请重新加载页面后再试。";

    connection_lost: "The connection is lost. Trying again.", "连接断开,正在重连。";
});
