;; Looks around in its sandbox: answers its environment or its arguments, opens files, prints much.
(module
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "one\ntwo\n\1b[0mthree\nfour\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n")
    (data (i32.const 128) "\40\00\00\00\30\00\00\00")  ;; an iovec: 48 bytes at 64
    (data (i32.const 136) "\40\00\00\00\03\00\00\00")  ;; and one of 3 bytes
    (data (i32.const 200) "new.txt")
    (data (i32.const 210) "agent.conf")
    (data (i32.const 300) "{\"errno\":00}\00")
    (data (i32.const 4087) "{\"list\":\"")

    ;; The texts at 4096, a semicolon behind each, as JSON.
    (func $list (param $length i32) (result i32) (local $at i32)
        (local.set $at (i32.const 4096))
        (local.set $length (i32.add (local.get $length) (i32.const 4096)))
        (block $done (loop $next
            (br_if $done (i32.ge_u (local.get $at) (local.get $length)))
            (if (i32.eqz (i32.load8_u (local.get $at))) (then (i32.store8 (local.get $at) (i32.const 59))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $next)))
        (i32.store offset=0 (local.get $length) (i32.const 0x00007d22))
        (i32.const 4087))
    (func (export "environment") (param i32 i32 i32 i32 i32 i32) (result i32)
        (drop (call $environ_sizes (i32.const 0) (i32.const 4)))
        (drop (call $environ (i32.const 1024) (i32.const 4096)))
        (call $list (i32.load (i32.const 4))))
    (func (export "arguments") (param i32 i32 i32 i32 i32 i32) (result i32)
        (drop (call $args_sizes (i32.const 0) (i32.const 4)))
        (drop (call $args (i32.const 1024) (i32.const 4096)))
        (call $list (i32.load (i32.const 4))))

    (func $errno (param $errno i32) (result i32)
        (i32.store8 (i32.const 309) (i32.add (i32.const 48) (i32.div_u (local.get $errno) (i32.const 10))))
        (i32.store8 (i32.const 310) (i32.add (i32.const 48) (i32.rem_u (local.get $errno) (i32.const 10))))
        ;; No number begins with a zero.
        (if (i32.lt_u (local.get $errno) (i32.const 10)) (then (i32.store8 (i32.const 309) (i32.const 32))))
        (i32.const 300))
    (func (export "create") (param i32 i32 i32 i32 i32 i32) (result i32)
        (call $errno (call $open (i32.const 3) (i32.const 0) (i32.const 200) (i32.const 7)
            (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8))))
    (func (export "read") (param i32 i32 i32 i32 i32 i32) (result i32)
        (call $errno (call $open (i32.const 3) (i32.const 0) (i32.const 210) (i32.const 10)
            (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8))))
    (func (export "escape") (param i32 i32 i32 i32 i32 i32) (result i32)
        ;; ../
        (i32.store (i32.const 200) (i32.const 0x002f2e2e))
        (call $errno (call $open (i32.const 3) (i32.const 0) (i32.const 200) (i32.const 3)
            (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8))))

    (func (export "flood") (param i32 i32 i32 i32 i32 i32) (result i32)
        (drop (call $write (i32.const 1) (i32.const 128) (i32.const 1) (i32.const 256)))
        (local.get 4))
    (func (export "complain") (param i32 i32 i32 i32 i32 i32) (result i32)
        (drop (call $write (i32.const 2) (i32.const 136) (i32.const 1) (i32.const 256)))
        (local.get 4)))
