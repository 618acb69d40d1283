;; A filter in C in the manner in which those without a C library are mostly written, and one that goes on until its memory is full. Made by
;;
;;     clang --target=wasm32-wasi -O3 -nostdlib -fno-inline -Wl,--no-entry -Wl,--allow-undefined -o c_leak.wasm c_leak.c
;;
;; of clang 14, and shown by wasm2wat, from
;;
;;     #include <stdint.h>
;;     #include <stdio.h>
;;     #include <stdlib.h>
;;     #include <time.h>
;;
;;     #define EXPORT(name) __attribute__((export_name(#name)))
;;
;;     EXPORT(c_filter) char *c_filter(char *tag, int tag_len, uint32_t sec, uint32_t nsec, char *record, int record_len) {
;;         (void)tag_len, (void)record_len;
;;         char *answer = malloc(1024);
;;         if (answer == NULL) {
;;             printf("out of memory\n");
;;             return NULL;
;;         }
;;         struct timespec time = {.tv_sec = sec, .tv_nsec = nsec};
;;         sprintf(answer, "{\"by\":\"C\",\"tag\":\"%s\",\"time\":\"%lld.%9ld\",\"was\":%s}", tag, (long long)time.tv_sec, time.tv_nsec, record);
;;         return answer;
;;     }
;;
;;     EXPORT(fill) char *fill(char *tag, int tag_len, uint32_t sec, uint32_t nsec, char *record, int record_len) {
;;         while (c_filter(tag, tag_len, sec, nsec, record, record_len) != NULL) {}
;;         return NULL;
;;     }
(module
  (type (;0;) (func (param i32) (result i32)))
  (type (;1;) (func (param i32 i32 i32) (result i32)))
  (type (;2;) (func (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "malloc" (func $malloc (type 0)))
  (import "env" "puts" (func $puts (type 0)))
  (import "env" "sprintf" (func $sprintf (type 1)))
  (func $c_filter (type 2) (param i32 i32 i32 i32 i32 i32) (result i32)
    (local i32 i32)
    global.get $__stack_pointer
    i32.const 32
    i32.sub
    local.tee 6
    global.set $__stack_pointer
    block  ;; label = @1
      block  ;; label = @2
        i32.const 1024
        call $malloc
        local.tee 7
        br_if 0 (;@2;)
        i32.const 1074
        call $puts
        drop
        br 1 (;@1;)
      end
      local.get 6
      i32.const 20
      i32.add
      local.get 4
      i32.store
      local.get 6
      i32.const 16
      i32.add
      local.get 3
      i32.store
      local.get 6
      local.get 0
      i32.store
      local.get 6
      local.get 2
      i64.extend_i32_u
      i64.store offset=8
      local.get 7
      i32.const 1024
      local.get 6
      call $sprintf
      drop
    end
    local.get 6
    i32.const 32
    i32.add
    global.set $__stack_pointer
    local.get 7)
  (func $fill (type 2) (param i32 i32 i32 i32 i32 i32) (result i32)
    loop  ;; label = @1
      local.get 0
      local.get 0
      local.get 2
      local.get 3
      local.get 4
      local.get 0
      call $c_filter
      br_if 0 (;@1;)
    end
    i32.const 0)
  (table (;0;) 1 1 funcref)
  (memory (;0;) 2)
  (global $__stack_pointer (mut i32) (i32.const 66624))
  (export "memory" (memory 0))
  (export "c_filter" (func $c_filter))
  (export "fill" (func $fill))
  (data $.rodata (i32.const 1024) "{\22by\22:\22C\22,\22tag\22:\22%s\22,\22time\22:\22%lld.%9ld\22,\22was\22:%s}\00out of memory\00"))
