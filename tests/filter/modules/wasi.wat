;; Uses WASI: prints, ends the process, or answers whether there is a directory.
(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "hi from the guest\n")
    (data (i32.const 128) "\40\00\00\00\12\00\00\00")  ;; an iovec: 18 bytes at 64
    (data (i32.const 1024) "{\"directory\":true}\00")
    (data (i32.const 2048) "{\"directory\":false}\00")
    (func (export "print") (param i32 i32 i32 i32 i32 i32) (result i32)
        (drop (call $write (i32.const 1) (i32.const 128) (i32.const 1) (i32.const 256)))
        (local.get 4))
    (func (export "exit") (param i32 i32 i32 i32 i32 i32) (result i32)
        (call $exit (i32.const 3))
        (local.get 4))
    ;; The first directory has the file descriptor 3.
    (func (export "directory") (param i32 i32 i32 i32 i32 i32) (result i32)
        (select (i32.const 2048) (i32.const 1024) (call $prestat (i32.const 3) (i32.const 256)))))
