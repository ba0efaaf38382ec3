//! Names that columns have in files people share, best first, in small letters.

/// Columns of a question.
pub(super) const PROMPTS: &[&str] = &[
    "prompt",
    "question",
    "query",
    "instruction",
    "input",
    "user",
    "human",
    "q",
    "问题",
    "提问",
    "指令",
    "提示词",
    "输入",
    "問題",
    "질문",
    "지시문",
    "지시",
    "명령어",
    "프롬프트",
    "입력",
    "質問",
    "指示",
    "プロンプト",
    "入力",
    "frage",
    "anweisung",
    "eingabe",
    "consigne",
    "entrée",
    "pregunta",
    "instrucción",
    "entrada",
    "pergunta",
    "domanda",
    "вопрос",
    "инструкция",
    "запрос",
    "ввод",
];
/// Columns of an answer.
pub(super) const RESPONSES: &[&str] = &[
    "response",
    "answer",
    "output",
    "completion",
    "reply",
    "assistant",
    "target",
    "answers",
    "a",
    "回答",
    "答案",
    "回复",
    "输出",
    "답변",
    "응답",
    "대답",
    "정답",
    "출력",
    "答え",
    "応答",
    "返答",
    "解答",
    "出力",
    "antwort",
    "ausgabe",
    "réponse",
    "reponse",
    "sortie",
    "respuesta",
    "salida",
    "resposta",
    "risposta",
    "ответ",
    "вывод",
];
/// Columns of an instruction, which an input may go with.
pub(super) const INSTRUCTIONS: &[&str] =
    &["instruction", "指令", "지시문", "지시", "指示", "anweisung", "instrucción", "инструкция"];
/// Columns of what an instruction is about.
pub(super) const INPUTS: &[&str] = &["input", "输入", "입력", "入力", "eingabe", "entrée", "entrada", "ввод"];
/// Columns of a text that a question is about.
pub(super) const CONTEXTS: &[&str] =
    &["context", "passage", "上下文", "文章", "지문", "文脈", "kontext", "contexte", "contexto", "контекст"];
/// Columns of a text that something is to be said of, where nothing is asked.
pub(super) const SUBJECTS: &[&str] =
    &["context", "article", "document", "dialogue", "text", "sentence", "review", "source", "passage"];
/// Columns of what is said of a text.
pub(super) const VERDICTS: &[&str] =
    &["summary", "highlights", "label", "labels", "sentiment", "intent", "target"];
/// Columns of answers to choose from; without them an answer says nothing.
pub(super) const CHOICES: &[&str] = &["choices", "options"];
/// Columns of the better of two answers.
pub(super) const CHOSEN: &[&str] =
    &["chosen", "accepted", "preferred", "response_chosen", "chosen_response", "preferred_output"];
/// Columns of the worse of two answers.
pub(super) const REJECTED: &[&str] =
    &["rejected", "dispreferred", "response_rejected", "rejected_response", "non_preferred_output"];
/// Columns of plain text.
pub(super) const TEXTS: &[&str] = &[
    "text",
    "content",
    "document",
    "body",
    "文本",
    "正文",
    "텍스트",
    "本文",
    "テキスト",
    "texte",
    "texto",
    "текст",
];
/// Columns of a system text.
pub(super) const SYSTEMS: &[&str] = &["system", "system_prompt", "system_message"];
