// JSON read front to back, where a document in between would cost more than all else: whoever walks through a text takes
// the values it needs as they come. One thread.
//
// A value of another kind than is asked for is passed over and reads as empty. The texts are whatever the other side sent:
// after the first thing that is no JSON nothing more is read, and finished() is false.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gantry {

class JsonCursor {
 public:
  // `text` outlives the cursor.
  explicit JsonCursor(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  // The whole text was read, and it was JSON.
  bool finished();

  // Each of these reads one value. `each` is called for every member or item and reads exactly its value; a key is good
  // until then.
  template <class F>
  void members(F&& each) {
    if (!enter('{')) return;
    if (take('}')) return;
    std::string storage;
    do {
      const std::string_view key = read_key(storage);
      if (failed_) return;
      each(key);
    } while (take(','));
    close('}');
  }
  template <class F>
  void items(F&& each) {
    if (!enter('[')) return;
    if (take(']')) return;
    do {
      each();
    } while (take(','));
    close(']');
  }
  std::string text();
  std::vector<std::string> texts();  // of an array
  int64_t number();
  bool flag();
  void skip();

  // What kind of value comes next: one of { [ " t f n, - or a digit; 0 at the end and after an error.
  char next();

 private:
  bool enter(char open);  // false: something else, passed over
  bool take(char c);
  void close(char c);
  void fail();
  std::string_view read_key(std::string& storage);
  // The text between the quotes where each character stands for itself; else the whole literal, unread.
  struct Literal {
    std::string_view text;
    bool plain = false;
  };
  Literal read_literal();
  std::string decoded(Literal literal);
  std::string_view read_word();

  const char* at_;
  const char* end_;
  int depth_ = 0;  // of what skip() passes over
  bool failed_ = false;
};

}  // namespace gantry
