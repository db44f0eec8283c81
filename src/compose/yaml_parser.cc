// Tokens → events: which tokens belong to which node. Recursive, as deep as Limits allow.
#include <map>
#include <unordered_map>

#include "base/strings.h"
#include "compose/yaml_scanner.h"

namespace gantry::compose::yaml {
namespace {

using TokenKind = Token::Kind;

constexpr std::string_view kStandardTags = "tag:yaml.org,2002:";

class Parser {
 public:
  Parser(std::string_view text, const Limits& limits, Failure& failure)
      : limits_(limits), expected_(std::min<size_t>(text.size() / 7, 100'000)), scanner_(text, limits.depth, failure) {}

  bool run(std::vector<Document>& documents) {
    for (bool first = true;; first = false) {
      documents.emplace_back();
      document_ = &documents.back();
      if (first) document_->events.reserve(expected_);
      scanner_.set_store(&document_->made);
      bool there = false;
      if (!document(first, there)) return false;
      if (!there) {
        documents.pop_back();
        return true;
      }
      if (documents.size() > limits_.documents) {
        return scanner_.fail(document_->line, 1,
                             "the file has more than " + std::to_string(limits_.documents) + " documents");
      }
    }
  }

 private:
  bool is(TokenKind kind) {
    const Token* token = scanner_.peek();
    return token != nullptr && token->kind == kind;
  }

  template <class... Kinds>
  bool is_any(Kinds... kinds) {
    const Token* token = scanner_.peek();
    return token != nullptr && ((token->kind == kinds) || ...);
  }

  // False after an error of the scanner, too: that one is kept.
  bool unexpected(std::string message, std::string hint = {}) {
    const Token* token = scanner_.peek();
    if (token == nullptr) return false;
    return scanner_.fail(token->line, token->column, std::move(message), std::move(hint));
  }

  // A collection that the end of the file cuts off is shown where it begins.
  bool unclosed(const Event& start, std::string message) {
    const Token* token = scanner_.peek();
    if (token == nullptr) return false;
    if (token->kind == TokenKind::stream_end) {
      return scanner_.fail(start.line, start.column, std::move(message), "it is never closed");
    }
    return unexpected(std::move(message), start.line == token->line
                                              ? ""
                                              : "in the collection that begins in line " + std::to_string(start.line));
  }

  // ---- documents

  bool document(bool first, bool& there) {
    while (is(TokenKind::document_end)) scanner_.next();
    const Token* token = scanner_.peek();
    if (token == nullptr) return false;
    there = token->kind != TokenKind::stream_end;
    if (!there) return true;
    document_->line = token->line;
    anchors_.clear();
    handles_.clear();
    bool marked = false;
    while (is(TokenKind::directive)) {
      if (!directive(*scanner_.peek())) return false;
      scanner_.next();
      marked = true;
    }
    if (is(TokenKind::document_start)) {
      scanner_.next();
    } else if (marked || !first) {
      return unexpected("did not find expected <document start>", "a new document begins with ---");
    }
    if (scanner_.peek() == nullptr) return false;
    if (!is_any(TokenKind::directive, TokenKind::document_start, TokenKind::document_end, TokenKind::stream_end)) {
      if (!node(true, false, 0)) return false;
    }
    if (is(TokenKind::document_end)) scanner_.next();
    return scanner_.peek() != nullptr;
  }

  bool directive(const Token& token) {
    std::string line(token.text.substr(0, token.text.find(" #")));
    std::vector<std::string> words;
    for (const std::string& word : split(line, ' ')) {
      if (!word.empty()) words.push_back(word);
    }
    if (!words.empty() && words[0] == "YAML" && (words.size() < 2 || !words[1].starts_with("1."))) {
      return unexpected("found incompatible YAML document", "known are %YAML 1.1 and 1.2");
    }
    if (words.size() == 3 && words[0] == "TAG") handles_[words[1]] = words[2];
    return true;
  }

  // ---- nodes

  bool add(Event event) {
    if (++nodes_ > limits_.nodes) {
      return scanner_.fail(event.line, event.column,
                           "the file exceeds the maximum node visit limit (" + std::to_string(limits_.nodes) + ")");
    }
    document_->events.push_back(event);
    document_->events.back().next = static_cast<uint32_t>(document_->events.size());
    return true;
  }

  static Event event_at(Event::Kind kind, const Token& token) {
    Event event;
    event.kind = kind;
    event.line = token.line;
    event.column = token.column;
    return event;
  }

  // A node that is not written: null, unless the tag says otherwise.
  bool empty(Event properties) {
    properties.plain = properties.tag.empty();
    return add(properties);
  }
  bool empty_here() {
    const Token* token = scanner_.peek();
    return token != nullptr && empty(event_at(Event::Kind::scalar, *token));
  }

  bool node(bool block, bool indentless, size_t depth) {
    const Token* token = scanner_.peek();
    if (token == nullptr) return false;
    if (token->kind == TokenKind::alias) return alias(*token);
    Event event = event_at(Event::Kind::scalar, *token);
    std::string_view anchor;
    bool has_tag = false;
    if (!properties(event, anchor, has_tag)) return false;
    token = scanner_.peek();
    if (token == nullptr) return false;
    if (!anchor.empty()) {
      event.anchored = true;
      anchors_[anchor] = static_cast<uint32_t>(document_->events.size());
    }
    if (depth >= limits_.depth) return unexpected("exceeded max depth of " + std::to_string(limits_.depth));
    switch (token->kind) {
      case TokenKind::scalar:
        event.plain = token->plain && !has_tag;
        event.text = token->text;
        if (!has_tag && !token->plain) event.tag = "!";
        scanner_.next();
        return add(event);
      case TokenKind::flow_sequence_start: return flow_sequence(event, depth);
      case TokenKind::flow_mapping_start: return flow_mapping(event, depth);
      case TokenKind::block_sequence_start:
        if (block) return block_sequence(event, depth);
        break;
      case TokenKind::block_mapping_start:
        if (block) return block_mapping(event, depth);
        break;
      case TokenKind::block_entry:
        if (indentless) return indentless_sequence(event, depth);
        break;
      default: break;
    }
    if (!anchor.empty() || has_tag) return empty(event);
    return unexpected("did not find expected node content", "a value is missing here, or a text needs quotes");
  }

  bool properties(Event& event, std::string_view& anchor, bool& has_tag) {
    for (const Token* token = scanner_.peek();; token = scanner_.peek()) {
      if (token == nullptr) return false;
      if (token->kind == TokenKind::anchor && anchor.empty()) {
        anchor = token->text;
      } else if (token->kind == TokenKind::tag && !has_tag) {
        has_tag = true;
        if (!resolve_tag(*token, event)) return false;
      } else {
        return true;
      }
      scanner_.next();
    }
  }

  bool resolve_tag(const Token& token, Event& event) {
    std::string_view text = token.text;
    if (text.starts_with("!<")) {
      event.tag = text.substr(2, text.size() - 3);
      return true;
    }
    size_t second = text.find('!', 1);
    std::string_view handle = second == std::string_view::npos ? text.substr(0, 1) : text.substr(0, second + 1);
    std::string_view suffix = text.substr(handle.size());
    auto known = handles_.find(handle);
    if (known == handles_.end() && handle == "!") {
      event.tag = text;
      return true;
    }
    if (known == handles_.end() && handle != "!!") return unexpected("found undefined tag handle");
    std::string whole = known != handles_.end() ? known->second : std::string(kStandardTags);
    document_->made.push_back(whole.append(suffix));
    event.tag = document_->made.back();
    return true;
  }

  bool alias(const Token& token) {
    auto found = anchors_.find(token.text);
    if (found == anchors_.end()) {
      return unexpected("unknown anchor '" + std::string(token.text) + "' referenced", near_anchor(token.text));
    }
    Event event = event_at(Event::Kind::alias, token);
    event.text = token.text;
    event.anchor = found->second;
    scanner_.next();
    return add(event);
  }

  std::string near_anchor(std::string_view name) {
    std::vector<std::string> names;
    for (const auto& [known, at] : anchors_) names.emplace_back(known);
    auto near = nearest(name, names);
    return near ? "did you mean \"*" + *near + "\"?" : "an anchor is set with &" + std::string(name) + " before its use";
  }

  // ---- collections: each leaves its start event complete

  bool open(Event event, Event::Kind kind, size_t& index) {
    event.kind = kind;
    index = document_->events.size();
    return add(event);
  }
  void close(size_t index, uint32_t children) {
    document_->events[index].next = static_cast<uint32_t>(document_->events.size());
    document_->events[index].children = children;
  }

  bool block_sequence(const Event& event, size_t depth) {
    size_t index = 0;
    if (!open(event, Event::Kind::sequence, index)) return false;
    scanner_.next();
    uint32_t children = 0;
    for (; is(TokenKind::block_entry); ++children) {
      scanner_.next();
      bool there = !is_any(TokenKind::block_entry, TokenKind::block_end);
      if (!(there ? node(true, false, depth + 1) : empty_here())) return false;
    }
    if (!is(TokenKind::block_end)) {
      return unexpected("did not find expected '-' indicator", "in the list that begins in line " +
                                                                   std::to_string(event.line));
    }
    scanner_.next();
    close(index, children);
    return true;
  }

  bool indentless_sequence(const Event& event, size_t depth) {
    size_t index = 0;
    if (!open(event, Event::Kind::sequence, index)) return false;
    uint32_t children = 0;
    for (; is(TokenKind::block_entry); ++children) {
      scanner_.next();
      bool there = !is_any(TokenKind::block_entry, TokenKind::key, TokenKind::value, TokenKind::block_end);
      if (!(there ? node(true, false, depth + 1) : empty_here())) return false;
    }
    close(index, children);
    return scanner_.peek() != nullptr;
  }

  bool block_mapping(const Event& event, size_t depth) {
    size_t index = 0;
    if (!open(event, Event::Kind::mapping, index)) return false;
    scanner_.next();
    uint32_t children = 0;
    auto part = [&] {
      ++children;
      bool there = !is_any(TokenKind::key, TokenKind::value, TokenKind::block_end);
      return there ? node(true, true, depth + 1) : empty_here();
    };
    while (is(TokenKind::key)) {
      scanner_.next();
      if (!part()) return false;
      bool has_value = is(TokenKind::value);
      if (has_value) scanner_.next();
      if (!has_value) ++children;
      if (!(has_value ? part() : empty_here())) return false;
    }
    if (!is(TokenKind::block_end)) {
      return unexpected("did not find expected key", "is it indented like the lines above? the mapping begins in line " +
                                                         std::to_string(event.line));
    }
    scanner_.next();
    close(index, children);
    return true;
  }

  bool flow_sequence(const Event& event, size_t depth) {
    size_t index = 0;
    if (!open(event, Event::Kind::sequence, index)) return false;
    scanner_.next();
    uint32_t children = 0;
    for (; !is(TokenKind::flow_sequence_end); ++children) {
      if (children > 0) {
        if (!is(TokenKind::flow_entry)) return unclosed(event, "did not find expected ',' or ']'");
        scanner_.next();
        if (is(TokenKind::flow_sequence_end)) break;
      }
      if (is(TokenKind::stream_end)) return unclosed(event, "did not find expected node content");
      if (!(is(TokenKind::key) ? single_pair(depth + 1) : node(false, false, depth + 1))) return false;
    }
    scanner_.next();
    close(index, children);
    return true;
  }

  // [a: b] is [{a: b}].
  bool single_pair(size_t depth) {
    const Token* token = scanner_.peek();
    size_t index = 0;
    if (token == nullptr || !open(event_at(Event::Kind::mapping, *token), Event::Kind::mapping, index)) return false;
    scanner_.next();
    bool there = !is_any(TokenKind::value, TokenKind::flow_entry, TokenKind::flow_sequence_end);
    if (!(there ? node(false, false, depth + 1) : empty_here())) return false;
    bool has_value = is(TokenKind::value);
    if (has_value) scanner_.next();
    there = has_value && !is_any(TokenKind::flow_entry, TokenKind::flow_sequence_end);
    if (!(there ? node(false, false, depth + 1) : empty_here())) return false;
    close(index, 2);
    return true;
  }

  bool flow_mapping(const Event& event, size_t depth) {
    size_t index = 0;
    if (!open(event, Event::Kind::mapping, index)) return false;
    scanner_.next();
    uint32_t children = 0;
    for (; !is(TokenKind::flow_mapping_end); children += 2) {
      if (children > 0) {
        if (!is(TokenKind::flow_entry)) return unclosed(event, "did not find expected ',' or '}'");
        scanner_.next();
        if (is(TokenKind::flow_mapping_end)) break;
      }
      if (is(TokenKind::stream_end)) return unclosed(event, "did not find expected node content");
      bool key_follows = true;
      if (is(TokenKind::key)) {
        scanner_.next();
        key_follows = !is_any(TokenKind::value, TokenKind::flow_entry, TokenKind::flow_mapping_end);
      } else if (is(TokenKind::value)) {
        key_follows = false;
      }
      if (!(key_follows ? node(false, false, depth + 1) : empty_here())) return false;
      bool has_value = is(TokenKind::value);
      if (has_value) scanner_.next();
      bool there = has_value && !is_any(TokenKind::flow_entry, TokenKind::flow_mapping_end);
      if (!(there ? node(false, false, depth + 1) : empty_here())) return false;
    }
    scanner_.next();
    close(index, children);
    return true;
  }

  Limits limits_;
  size_t expected_;  // events, for small files about as many as there will be
  Scanner scanner_;
  Document* document_ = nullptr;
  size_t nodes_ = 0;  // of all documents
  std::unordered_map<std::string_view, uint32_t> anchors_;
  std::map<std::string, std::string, std::less<>> handles_;
};

}  // namespace

bool read_documents(std::string_view text, const Limits& limits, std::vector<Document>& documents, Failure& failure) {
  return Parser(text, limits, failure).run(documents);
}

}  // namespace gantry::compose::yaml
