#include "cli/template.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "cli/template_functions.h"

namespace gantry::cli {
namespace {

constexpr int kDeepestNesting = 100;          // of nested actions and parentheses
constexpr size_t kMaxText = 64 << 20;   // of what a template may print

struct Token {
  enum class Kind { word, field, variable, text, number, symbol, end };
  Kind kind = Kind::end;
  std::string text;  // word: "index"; field: "Name"; variable: "$x"; text: unquoted; symbol: ( ) | , := =
  size_t at = 0;
  bool glued = false;  // nothing between it and the token before
};

struct Operand;
struct Pipeline;
using PipelinePtr = std::shared_ptr<Pipeline>;

// A thing with fields behind it: .A.B, $x.A, (pipe).A, "literal", word.
struct Operand {
  enum class Kind { dot, variable, literal, call, group };
  Kind kind = Kind::dot;
  std::string name;  // variable or function
  Value literal;
  PipelinePtr group;
  std::vector<std::string> fields;
  size_t at = 0;
};
struct CommandNode {
  std::vector<Operand> operands;  // the first is what is called, if it can be
};
struct Pipeline {
  std::vector<std::string> variables;  // "$i", "$v"
  bool assigns = false;                // "=" instead of ":="
  std::vector<CommandNode> commands;
};

}  // namespace

struct Template::Node {
  enum class Kind { list, text, action, if_, range, with, break_, continue_ };
  Kind kind = Kind::list;
  std::string text;
  PipelinePtr pipeline;
  std::vector<std::shared_ptr<Node>> children;
  std::vector<std::shared_ptr<Node>> otherwise;
  std::string source;
};

namespace {

using Node = Template::Node;
using NodePtr = std::shared_ptr<Node>;
using Nodes = std::vector<NodePtr>;

std::string place_of(std::string_view source, size_t at) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i < at && i < source.size(); ++i) {
    column = source[i] == '\n' ? 1 : column + 1;
    line += source[i] == '\n';
  }
  return std::to_string(line) + ":" + std::to_string(column);
}

class TemplateParser {
 public:
  explicit TemplateParser(std::string_view source) : source_(source) {}

  Result<NodePtr> parse() {
    auto root = std::make_shared<Node>();
    root->source = source_;
    std::string end;
    root->children = TRY(list(end, 0));
    if (!end.empty()) return bad("unexpected {{" + end + "}}", action_at_);
    return root;
  }

 private:
  Error bad(const std::string& what, size_t at) const {
    return invalid("template parsing error: template: :" + place_of(source_, at) + ": " + what);
  }

  // Up to the end, or to {{end}}, {{else}} or {{else if}}: `end` is that word.
  Result<Nodes> list(std::string& end, int depth) {
    if (depth > kDeepestNesting) return bad("too deep", at_);
    Nodes nodes;
    end.clear();
    while (at_ < source_.size()) {
      const size_t open = source_.find("{{", at_);
      add_text(source_.substr(at_, open == std::string_view::npos ? open : open - at_), open, nodes);
      if (open == std::string_view::npos) {
        at_ = source_.size();
        break;
      }
      action_at_ = open;
      TRY(scan_action(open));
      if (comment_) continue;
      const std::string word = tokens_[0].kind == Token::Kind::word ? tokens_[0].text : "";
      if (word == "end" || word == "else") {
        end = word;
        if (word == "end" && tokens_.size() != 2) return bad("unexpected " + gantry::quoted(tokens_[1].text) + " in end", tokens_[1].at);
        return nodes;
      }
      NodePtr node = TRY(action(word, depth));
      nodes.push_back(std::move(node));
    }
    return nodes;
  }

  void add_text(std::string_view text, size_t next_action, Nodes& nodes) {
    if (trim_next_) {
      const size_t begin = text.find_first_not_of(" \t\r\n");
      text = begin == std::string_view::npos ? std::string_view() : text.substr(begin);
    }
    trim_next_ = false;
    const bool trims = next_action != std::string_view::npos && source_.substr(next_action).starts_with("{{- ");
    if (trims) text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
    if (text.empty()) return;
    auto node = std::make_shared<Node>();
    node->kind = Node::Kind::text;
    node->text = text;
    nodes.push_back(std::move(node));
  }

  Result<NodePtr> action(const std::string& word, int depth) {
    auto node = std::make_shared<Node>();
    node->kind = word == "if"         ? Node::Kind::if_
                 : word == "range"    ? Node::Kind::range
                 : word == "with"     ? Node::Kind::with
                 : word == "break"    ? Node::Kind::break_
                 : word == "continue" ? Node::Kind::continue_
                                      : Node::Kind::action;
    if (word == "define" || word == "template" || word == "block") return bad("{{" + word + "}} is not supported", action_at_);
    if (node->kind == Node::Kind::break_ || node->kind == Node::Kind::continue_) return node;
    next_ = node->kind == Node::Kind::action ? 0 : 1;
    node->pipeline = TRY(pipeline(0));
    if (peek().kind != Token::Kind::end) return bad("unexpected " + gantry::quoted(peek().text) + " in command", peek().at);
    if (node->kind == Node::Kind::action) return node;
    TRY(branches(*node, depth));
    return node;
  }

  Result<> branches(Node& node, int depth) {
    std::string end;
    const size_t begun_at = action_at_;
    node.children = TRY(list(end, depth + 1));
    if (end == "else") {
      const std::string word = tokens_[1].kind == Token::Kind::word ? tokens_[1].text : "";
      if (word == "if" || word == "with") {  // {{else if …}} ends with the same {{end}}
        auto inner = std::make_shared<Node>();
        inner->kind = word == "if" ? Node::Kind::if_ : Node::Kind::with;
        next_ = 2;
        inner->pipeline = TRY(pipeline(0));
        TRY(branches(*inner, depth + 1));
        node.otherwise.push_back(std::move(inner));
        return {};
      }
      node.otherwise = TRY(list(end, depth + 1));
    }
    if (end != "end") return bad("unexpected EOF", begun_at);
    return {};
  }

  // ---- inside of {{ }} ----

  Result<> scan_action(size_t open) {
    tokens_.clear();
    comment_ = false;
    size_t at = open + 2;
    if (source_.substr(at).starts_with("- ")) at += 2;
    bool glued = false;
    if (source_.substr(at).starts_with("/*")) {
      const size_t close = source_.find("*/", at);
      if (close == std::string_view::npos) return bad("unclosed comment", open);
      at = close + 2;
      comment_ = true;
    }
    for (;;) {
      if (at >= source_.size()) return bad("unclosed action", open);
      const char c = source_[at];
      const std::string_view rest = source_.substr(at);
      if (rest.starts_with("}}")) {
        at_ = at + 2;
        break;
      }
      if (rest.starts_with("-}}")) {
        trim_next_ = true;
        at_ = at + 3;
        break;
      }
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        ++at;
        glued = false;
        continue;
      }
      Token token{.at = at, .glued = glued};
      at = TRY(scan_token(at, token));
      tokens_.push_back(std::move(token));
      glued = true;
    }
    tokens_.push_back({.at = at_ - 2});
    return {};
  }

  static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
  }
  size_t name_end(size_t at) const {
    while (at < source_.size() && is_name(source_[at])) ++at;
    return at;
  }

  Result<size_t> scan_token(size_t at, Token& token) {
    const char c = source_[at];
    if (c == '"' || c == '`' || c == '\'') return scan_quoted(at, token);
    if (c == '.') {
      const size_t end = name_end(at + 1);
      token.kind = Token::Kind::field;
      token.text = source_.substr(at + 1, end - at - 1);
      return end;
    }
    if (c == '$') {
      const size_t end = name_end(at + 1);
      token.kind = Token::Kind::variable;
      token.text = source_.substr(at, end - at);
      return end;
    }
    const bool sign = (c == '-' || c == '+') && at + 1 < source_.size() && source_[at + 1] >= '0' && source_[at + 1] <= '9';
    if (sign || (c >= '0' && c <= '9')) {
      size_t end = at + 1;
      while (end < source_.size() && (is_name(source_[end]) || source_[end] == '.')) ++end;
      token.kind = Token::Kind::number;
      token.text = source_.substr(at, end - at);
      return end;
    }
    if (is_name(c)) {
      const size_t end = name_end(at);
      token.kind = Token::Kind::word;
      token.text = source_.substr(at, end - at);
      return end;
    }
    token.kind = Token::Kind::symbol;
    if (source_.substr(at).starts_with(":=")) {
      token.text = ":=";
      return at + 2;
    }
    token.text = std::string(1, c);
    if (std::string_view("()|,=").find(c) == std::string_view::npos) {
      return bad("unexpected " + gantry::quoted(token.text) + " in command", at);
    }
    return at + 1;
  }

  Result<size_t> scan_quoted(size_t at, Token& token) {
    const char quote = source_[at];
    token.kind = quote == '\'' ? Token::Kind::number : Token::Kind::text;
    for (size_t i = at + 1; i < source_.size(); ++i) {
      char c = source_[i];
      if (c == quote) {
        if (quote == '\'') token.text = std::to_string(static_cast<unsigned char>(token.text.empty() ? 0 : token.text[0]));
        return i + 1;
      }
      if (c == '\\' && quote != '`' && i + 1 < source_.size()) {
        c = source_[++i];
        c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
      }
      token.text += c;
    }
    return bad("unterminated quoted string", at);
  }

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(next_ + ahead, tokens_.size() - 1)]; }
  bool is_symbol(const char* symbol, size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::symbol && peek(ahead).text == symbol;
  }

  Result<PipelinePtr> pipeline(int depth) {
    if (depth > kDeepestNesting) return bad("too deep", peek().at);
    auto result = std::make_shared<Pipeline>();
    size_t ahead = 0;
    std::vector<std::string> variables;
    while (peek(ahead).kind == Token::Kind::variable) {
      variables.push_back(peek(ahead).text);
      if (!is_symbol(",", ahead + 1)) break;
      ahead += 2;
    }
    if (!variables.empty() && (is_symbol(":=", ahead + 1) || is_symbol("=", ahead + 1))) {
      result->assigns = is_symbol("=", ahead + 1);
      result->variables = std::move(variables);
      next_ += ahead + 2;
    }
    for (;;) {
      CommandNode command;
      while (peek().kind != Token::Kind::end && !is_symbol("|") && !is_symbol(")")) {
        command.operands.push_back(TRY(operand(depth)));
      }
      if (command.operands.empty()) return bad("missing value for command", peek().at);
      result->commands.push_back(std::move(command));
      if (!is_symbol("|")) return result;
      ++next_;
    }
  }

  Result<Operand> operand(int depth) {
    const Token token = peek();
    Operand result{.at = token.at};
    ++next_;
    switch (token.kind) {
      case Token::Kind::field:
        if (!token.text.empty()) result.fields.push_back(token.text);
        break;
      case Token::Kind::variable:
        result.kind = Operand::Kind::variable;
        result.name = token.text;
        break;
      case Token::Kind::text:
        result.kind = Operand::Kind::literal;
        result.literal = token.text;
        break;
      case Token::Kind::number:
        result.kind = Operand::Kind::literal;
        result.literal = Value::parse(token.text[0] == '+' ? token.text.substr(1) : token.text, nullptr, false);
        if (!result.literal.is_number()) return bad("bad number syntax: " + gantry::quoted(token.text), token.at);
        break;
      case Token::Kind::word:
        if (token.text == "true" || token.text == "false" || token.text == "nil") {
          result.kind = Operand::Kind::literal;
          if (token.text != "nil") result.literal = token.text == "true";
          break;
        }
        if (!is_template_function(token.text)) return bad("function " + gantry::quoted(token.text) + " not defined", token.at);
        result.kind = Operand::Kind::call;
        result.name = token.text;
        break;
      case Token::Kind::symbol:
        if (token.text != "(") return bad("unexpected " + gantry::quoted(token.text) + " in operand", token.at);
        result.kind = Operand::Kind::group;
        result.group = TRY(pipeline(depth + 1));
        if (!is_symbol(")")) return bad("unclosed left paren", token.at);
        ++next_;
        break;
      case Token::Kind::end:
        return bad("missing value for command", token.at);
    }
    const bool can_have_fields = result.kind != Operand::Kind::literal && result.kind != Operand::Kind::call;
    while (can_have_fields && peek().kind == Token::Kind::field && peek().glued && !peek().text.empty()) {
      result.fields.push_back(peek().text);
      ++next_;
    }
    return result;
  }

  const std::string_view source_;
  size_t at_ = 0;
  size_t action_at_ = 0;
  bool trim_next_ = false;
  bool comment_ = false;
  std::vector<Token> tokens_;
  size_t next_ = 0;
};

enum class Flow { on, break_, continue_ };

class Runner {
 public:
  Runner(const Node& root, const Value& data, Template::Missing missing) : root_(root), data_(data), missing_(missing) {}

  Result<std::string> run() {
    TRY(nodes(root_.children, data_));
    return std::move(out_);
  }

 private:
  Error bad(const std::string& what, const Operand& at) const {
    return invalid("template: :" + place_of(root_.source, at.at) + ": " + what);
  }

  Result<Flow> nodes(const Nodes& list, const Value& dot) {
    for (const NodePtr& node : list) {
      const Flow flow = TRY(one(*node, dot));
      if (flow != Flow::on) return flow;
      if (out_.size() > kMaxText) return invalid("template: the output is too long");
    }
    return Flow::on;
  }

  Result<Flow> one(const Node& node, const Value& dot) {
    switch (node.kind) {
      case Node::Kind::text:
        out_ += node.text;
        return Flow::on;
      case Node::Kind::break_:
        return Flow::break_;
      case Node::Kind::continue_:
        return Flow::continue_;
      case Node::Kind::action: {
        const Value value = TRY(evaluate(*node.pipeline, dot));
        if (node.pipeline->variables.empty()) out_ += printed(value);
        return Flow::on;
      }
      case Node::Kind::range:
        return range(node, dot);
      case Node::Kind::if_:
      case Node::Kind::with:
      case Node::Kind::list:
        break;
    }
    const size_t scope = variables_.size();
    const Value value = TRY(evaluate(*node.pipeline, dot));
    const bool is_true = is_truthy(value);
    const Value& inner = node.kind == Node::Kind::with && is_true ? value : dot;
    const Flow flow = TRY(nodes(is_true ? node.children : node.otherwise, inner));
    variables_.resize(scope);
    return flow;
  }

  Result<Flow> range(const Node& node, const Value& dot) {
    const size_t scope = variables_.size();
    Pipeline without_variables = *node.pipeline;
    without_variables.variables.clear();
    const Value value = TRY(evaluate(without_variables, dot));
    std::vector<std::pair<Value, Value>> items;
    if (value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) items.emplace_back(i, value[i]);
    } else if (value.is_object()) {
      std::map<std::string, const Value*> sorted;
      for (const auto& [key, item] : value.items()) sorted[key] = &item;
      for (const auto& [key, item] : sorted) items.emplace_back(key, *item);
    } else if (value.is_number_integer()) {
      for (int64_t i = 0; i < std::min<int64_t>(value.get<int64_t>(), 1'000'000); ++i) items.emplace_back(i, i);
    } else if (!value.is_null()) {
      return bad("range can't iterate over " + printed(value), node.pipeline->commands[0].operands[0]);
    }
    if (items.empty()) return nodes(node.otherwise, dot);
    for (const auto& [key, item] : items) {
      variables_.resize(scope);
      const auto& names = node.pipeline->variables;
      if (names.size() == 1) variables_.emplace_back(names[0], item);
      if (names.size() == 2) {
        variables_.emplace_back(names[0], key);
        variables_.emplace_back(names[1], item);
      }
      if (TRY(nodes(node.children, item)) == Flow::break_) break;
    }
    variables_.resize(scope);
    return Flow::on;
  }

  Result<Value> evaluate(const Pipeline& pipeline, const Value& dot) {
    Value value;
    bool first = true;
    for (const CommandNode& command : pipeline.commands) {
      value = TRY(evaluate(command, dot, first ? nullptr : &value));
      first = false;
    }
    for (const std::string& name : pipeline.variables) {
      if (!pipeline.assigns) {
        variables_.emplace_back(name, value);
        continue;
      }
      for (auto at = variables_.rbegin(); at != variables_.rend(); ++at) {
        if (at->first == name) {
          at->second = value;
          break;
        }
      }
    }
    return value;
  }

  // `piped`: the result of the command before, the last argument of this one.
  Result<Value> evaluate(const CommandNode& command, const Value& dot, const Value* piped) {
    const Operand& head = command.operands[0];
    std::vector<Value> arguments;
    const bool lazy = head.kind == Operand::Kind::call && (head.name == "and" || head.name == "or");
    for (size_t i = 1; i < command.operands.size(); ++i) {
      arguments.push_back(TRY(evaluate(command.operands[i], dot)));
      // The rest is not looked at once the answer is known.
      if (lazy && is_truthy(arguments.back()) == (head.name == "or")) return arguments.back();
    }
    if (piped != nullptr) arguments.push_back(*piped);
    if (head.kind == Operand::Kind::call) {
      Result<Value> result = call_template_function(head.name, std::move(arguments));
      if (!result.ok()) return bad("error calling " + head.name + ": " + result.error().message(), head);
      return result;
    }
    if (arguments.empty()) return evaluate(head, dot);
    return method(head, dot, arguments);
  }

  // .Label "key": rows have their map beside the text of the same name.
  Result<Value> method(const Operand& head, const Value& dot, const std::vector<Value>& arguments) {
    const Value* object = &dot;
    if (head.kind == Operand::Kind::variable) object = TRY(variable(head));
    if (head.fields.size() == 1 && object->is_object() && arguments.size() == 1 && arguments[0].is_string()) {
      const auto map = object->find(kHiddenMember + head.fields[0]);
      if (map != object->end()) {
        const auto found = map->find(arguments[0].get<std::string>());
        return found == map->end() ? Value("") : *found;
      }
    }
    return bad("can't give argument to non-function", head);
  }

  Result<const Value*> variable(const Operand& operand) const {
    for (auto at = variables_.rbegin(); at != variables_.rend(); ++at) {
      if (at->first == operand.name) return &at->second;
    }
    if (operand.name == "$") return &data_;
    return bad("undefined variable " + gantry::quoted(operand.name), operand);
  }

  Result<Value> evaluate(const Operand& operand, const Value& dot) {
    Value value;
    switch (operand.kind) {
      case Operand::Kind::literal:
        return operand.literal;
      case Operand::Kind::call:
        return call_template_function(operand.name, {});
      case Operand::Kind::group:
        value = TRY(evaluate(*operand.group, dot));
        break;
      case Operand::Kind::variable:
        value = *TRY(variable(operand));
        break;
      case Operand::Kind::dot:
        if (operand.fields.empty()) return dot;
        return field(dot, operand, 0);
    }
    if (operand.fields.empty()) return value;
    return field(value, operand, 0);
  }

  Result<Value> field(const Value& from, const Operand& operand, size_t index) {
    const Value* value = &from;
    for (; index < operand.fields.size(); ++index) {
      const std::string& name = operand.fields[index];
      if (value->is_null()) return bad("nil pointer evaluating field " + name, operand);
      if (!value->is_object()) return bad("can't evaluate field " + name + " in " + printed(*value), operand);
      const auto found = value->find(name);
      if (found == value->end() && missing_ == Template::Missing::no_value) return Value();
      if (found == value->end()) return bad("executing \"\" at <." + name + ">: map has no entry for key " + gantry::quoted(name), operand);
      value = &*found;
    }
    return *value;
  }

  const Node& root_;
  const Value& data_;  // "$"
  const Template::Missing missing_;
  std::vector<std::pair<std::string, Value>> variables_;
  std::string out_;
};

}  // namespace

Result<Template> Template::parse(std::string_view text) {
  Template result;
  result.root_ = TRY(TemplateParser(text).parse());
  return result;
}

Result<std::string> Template::run(const Value& data, Missing missing) const {
  return Runner(*root_, data, missing).run();
}

}  // namespace gantry::cli
