//! Prompt templates of one's own.

super::table!(Templates {
    title: "Templates", "模板";
    text: "How a question is written down for the model. The same template serves training, preview and playground.", "问题以什么格式交给模型。训练、预览和对话使用同一个模板。";
    empty: "None of your own yet. The built-in ones and the model's own are always there.", "还没有自己的模板。内置模板和模型自带的模板始终可用。";
    yours: "Your templates", "自己的模板";
    change: "Change", "修改";
    change_name: "Change {0}", "修改 {0}";
    make: "Write a template", "编写模板";
    name: "Name", "名称";
    name_help: "Saving under a name that exists replaces that template; runs keep the one they were launched with.", "保存为已有名称会替换该模板;已启动的训练仍使用原来的模板。";
    prefix: "System text where none is given", "默认系统提示";
    system: "How a system text is written", "系统提示的写法";
    system_help: "With {system} once; empty: the text itself, followed by the separator.", "包含一次 {system};留空则为文本加分隔符。";
    prompt: "One turn, up to where the answer begins", "一轮对话,到回答开始为止";
    prompt_help: "With {query} once, where the question stands.", "在问题的位置写一次 {query}。";
    sep: "Between turns", "轮与轮之间";
    history: "Keep earlier turns", "保留历史对话";
    stops: "Where an answer ends, one a line", "回答结束标记,每行一个";
    stops_help: "The first is written behind every answer and learned; without any, the model's own end token is.", "第一个会写在每个回答后面并被学习;留空则使用模型自己的结束词元。";
    start_from: "Start from", "从现有模板开始";
    start_none: "An empty one", "空白";
    save: "Save", "保存";
    saved: "Saved.", "已保存。";
    preview_model: "Model for the preview", "预览用的模型";
    preview_data: "Dataset for the preview", "预览用的数据集";
    delete_title: "Delete this template?", "删除这个模板?";
    delete_text: "“{0}” is removed from the studio. Runs keep the one they were launched with.", "“{0}”会从工作室删除。已启动的训练仍保留原来的模板。";
    delete_name: "Delete {0}", "删除 {0}";
    own: "{0} (your own)", "{0}(自己的)";
    link: "Write your own template", "编写自己的模板";
});
