/* What Fluent Bit is to a filter plugin, and nothing else: the structs, the functions, the order of calls, the signals, the
 * stacks. Reads commands line by line and says what came of each. RELEASE is the release that it stands for: 22, 32 or 51.
 *
 * Its malloc aligns to 8 bytes and never to 16, as jemalloc may that is built as Fluent Bit builds it; PLAIN leaves the C
 * library's in place. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PLAIN
/* Before each block stand where the C library's begins and a mark. */
extern void *__libc_malloc(size_t);
extern void __libc_free(void *);
extern void *__libc_memalign(size_t, size_t);

struct before {
    void *base;
    uint64_t mark;
};
#define MARK 0x5eed5eed5eed5eedULL

static void *placed(void *base, size_t at, size_t size)
{
    char *block = (char *) base + at;
    struct before before = {base, MARK ^ size};
    memcpy(block - sizeof before, &before, sizeof before);
    return block;
}

static struct before before(void *block)
{
    struct before before;
    memcpy(&before, (char *) block - sizeof before, sizeof before);
    return before;
}

void *malloc(size_t size)
{
    void *base = __libc_malloc(size + 24);
    return base ? placed(base, 24, size) : NULL;
}

void free(void *block)
{
    if (block) {
        struct before found = before(block);
        if ((found.mark ^ MARK) >> 40) {
            write(2, "freed what was no block\n", 24);
            abort();
        }
        __libc_free(found.base);
    }
}

void *calloc(size_t count, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(count, size, &all)) {
        return NULL;
    }
    void *block = malloc(all);
    return block ? memset(block, 0, all) : NULL;
}

void *realloc(void *block, size_t size)
{
    void *new = malloc(size);
    if (new && block) {
        size_t old = before(block).mark ^ MARK;
        memcpy(new, block, old < size ? old : size);
        free(block);
    }
    return new;
}

int posix_memalign(void **out, size_t align, size_t size)
{
    size_t at = align < 16 ? 16 : align;
    void *base = __libc_memalign(at, size + at);
    if (!base) {
        return ENOMEM;
    }
    *out = placed(base, at, size);
    return 0;
}

void *aligned_alloc(size_t align, size_t size)
{
    void *block = NULL;
    return posix_memalign(&block, align, size) ? NULL : block;
}

void *memalign(size_t align, size_t size)
{
    return aligned_alloc(align, size);
}
#endif

struct mk_list {
    struct mk_list *prev, *next;
};

static void list_init(struct mk_list *list)
{
    list->prev = list->next = list;
}

static void list_add(struct mk_list *new, struct mk_list *list)
{
    new->prev = list->prev;
    new->next = list;
    list->prev->next = new;
    list->prev = new;
}

struct flb_kv {
    char *key;
    char *val;
    struct mk_list _head;
};

struct flb_config_map_val {
    union {
        int i_num;
        double d_num;
        void *list;
    } val;
#if RELEASE >= 51
    char *raw;
#endif
    struct mk_list *mult;
    struct mk_list _head;
};

struct flb_config_map {
    int type;
    char *name;
    char *def_value;
    int flags;
    int set_property;
    uintptr_t offset;
    char *desc;
    struct flb_config_map_val value;
    struct mk_list _head;
};

#if RELEASE >= 51
const char *flb_config_map_get_raw(struct flb_config_map *map)
{
    return map->value.raw;
}
#endif

struct flb_config {
    int nothing;
};

struct flb_filter_instance;

struct flb_filter_plugin {
    int event_type;
    int flags;
    char *name;
    char *description;
    struct flb_config_map *config_map;
    int (*cb_pre_run)(struct flb_filter_instance *, struct flb_config *, void *);
    int (*cb_init)(struct flb_filter_instance *, struct flb_config *, void *);
    int (*cb_filter)(const void *, size_t, const char *, int, void **, size_t *, struct flb_filter_instance *, void *, void *,
                     struct flb_config *);
    int (*cb_exit)(void *, struct flb_config *);
#if RELEASE >= 32
    int (*cb_notification)(struct flb_filter_instance *, struct flb_config *, void *);
#endif
    struct mk_list _head;
};

struct flb_filter_instance {
    int event_type;
    int id;
    int log_level;
    int log_suppress_interval;
    char name[32];
    char *alias;
    char *match;
#ifndef STRANGE
    void *match_regex;
#endif
    void *parent_processor;
    void *context;
    void *data;
    struct flb_filter_plugin *p;
    struct mk_list properties;
    struct mk_list *config_map;
    struct mk_list _head;
    struct cmt *cmt;
    void *cmt_records;
    void *rest[12];
};

/* The metrics: a list of names and values. */
struct cmt {
    struct value {
        struct value *next;
        char name[256];
        double value;
    } *values;
};

struct cmt_metric {
    struct cmt *cmt;
    char name[128];
    int labels;
    char *keys[3];
};

struct cmt *cmt_create(void)
{
    return calloc(1, sizeof(struct cmt));
}

void cmt_destroy(struct cmt *cmt)
{
    while (cmt->values) {
        struct value *value = cmt->values;
        cmt->values = value->next;
        free(value);
    }
    free(cmt);
}

static struct cmt_metric *metric(struct cmt *cmt, char *ns, char *subsystem, char *name, int labels, char **keys)
{
    struct cmt_metric *metric = calloc(1, sizeof *metric);
    metric->cmt = cmt;
    metric->labels = labels;
    snprintf(metric->name, sizeof metric->name, "%s_%s_%s", ns, subsystem, name);
    for (int i = 0; i < labels; i++) {
        metric->keys[i] = strdup(keys[i]);
    }
    return metric;
}

static double *place(struct cmt_metric *metric, char **values)
{
    char name[256];
    int length = snprintf(name, sizeof name, "%s", metric->name);
    for (int i = 0; i < metric->labels; i++) {
        length += snprintf(name + length, sizeof name - length, "%c%s=%s", i ? ',' : '{', metric->keys[i], values[i]);
    }
    struct value **value = &metric->cmt->values;
    while (*value && strcmp((*value)->name, name)) {
        value = &(*value)->next;
    }
    if (!*value) {
        *value = calloc(1, sizeof **value);
        strcpy((*value)->name, name);
    }
    return &(*value)->value;
}

struct cmt_metric *cmt_counter_create(struct cmt *cmt, char *ns, char *subsystem, char *name, char *help, int labels, char **keys)
{
    return help[0] ? metric(cmt, ns, subsystem, name, labels, keys) : NULL;
}

struct cmt_metric *cmt_gauge_create(struct cmt *cmt, char *ns, char *subsystem, char *name, char *help, int labels, char **keys)
{
    return help[0] ? metric(cmt, ns, subsystem, name, labels, keys) : NULL;
}

int cmt_counter_add(struct cmt_metric *metric, uint64_t time, double value, int labels, char **values)
{
    if (!time || labels != metric->labels) {
        return -1;
    }
    *place(metric, values) += value;
    return 0;
}

int cmt_gauge_set(struct cmt_metric *metric, uint64_t time, double value, int labels, char **values)
{
    if (!time || labels != metric->labels) {
        return -1;
    }
    *place(metric, values) = value;
    return 0;
}

int flb_metrics_fluentbit_add(struct flb_config *config, struct cmt *cmt)
{
    return config && cmt ? 0 : -1;
}

char *cmt_encode_text_create(struct cmt *cmt)
{
    (void) cmt;
    const char *version = getenv("HOST_VERSION");
    char text[200];
    snprintf(text, sizeof text, "2026-11-30T20:00:00Z fluentbit_build_info{hostname=\"h\",version=\"%s\",os=\"linux\"} = 1\n",
             version ? version : RELEASE == 22 ? "2.2.0" : RELEASE == 32 ? "3.2.10" : "5.1.1");
    return strdup(text);
}

void cmt_encode_text_destroy(char *text)
{
    free(text);
}

void flb_filter_set_context(struct flb_filter_instance *ins, void *context)
{
    ins->context = context;
}

const char *flb_filter_name(struct flb_filter_instance *ins)
{
    return ins->alias ? ins->alias : ins->name;
}

static pthread_t agents_thread;

void flb_log_print(int type, const char *file, int line, const char *fmt, ...)
{
    (void) file;
    (void) line;
    char text[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    printf("log %d%s %s\n", type, pthread_equal(pthread_self(), agents_thread) ? "" : " from a foreign thread", text);
}

volatile sig_atomic_t exit_signal = 0;
static atomic_int signals_handled;

static void flb_signal_init(void);

static void flb_signal_handler(int signal)
{
    flb_signal_init();
    if (signal == SIGSEGV || signal == SIGFPE) {
        write(1, "caught a fault\n", 15);
        abort();
    }
    signals_handled++;
}

static void flb_signal_handler_break_loop(int signal)
{
    exit_signal = signal;
}

static void flb_signal_init(void)
{
    signal(SIGINT, flb_signal_handler_break_loop);
    signal(SIGQUIT, flb_signal_handler_break_loop);
    signal(SIGHUP, flb_signal_handler);
    signal(SIGCONT, flb_signal_handler);
    signal(SIGTERM, flb_signal_handler_break_loop);
    signal(SIGSEGV, flb_signal_handler);
    signal(SIGFPE, flb_signal_handler);
}

/* Whether the handlers are those of flb_signal_init, and no other is there. */
static int has_own_handlers(void)
{
    int taken[] = {SIGHUP, SIGCONT, SIGSEGV, SIGFPE}, others[] = {SIGILL, SIGBUS};
    struct sigaction found;
    for (int i = 0; i < 4; i++) {
        sigaction(taken[i], NULL, &found);
        if (found.sa_handler != flb_signal_handler) {
            return 0;
        }
    }
    for (int i = 0; i < 2; i++) {
        sigaction(others[i], NULL, &found);
        if (found.sa_handler != SIG_DFL) {
            return 0;
        }
    }
    for (int i = SIGRTMIN; i <= SIGRTMAX; i++) {
        sigaction(i, NULL, &found);
        if (found.sa_handler != SIG_DFL) {
            return 0;
        }
    }
    return 1;
}

/* As a runtime has it that is started anew with each chunk, and never takes its handler away. */
static struct sigaction strangers_last;

static void stranger(int signal, siginfo_t *info, void *context)
{
    strangers_last.sa_sigaction(signal, info, context);
}

static void install_stranger(void)
{
    struct sigaction action = {0};
    action.sa_sigaction = stranger;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, &strangers_last);
}

static struct flb_config config;
static void *library;
static struct flb_filter_plugin *plugin;
static struct mk_list given;
static char *alias;
static int level = 3;
static struct flb_filter_instance *instances[16];
static int at;
static char tag[70000] = "test";
static size_t stack_size;

static void die(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static void open_plugin(const char *path)
{
    library = dlopen(path, RTLD_LAZY);
    if (!library) {
        die(dlerror());
    }
    void *symbol = dlsym(library, "filter_aot_plugin");
    if (!symbol) {
        die("no filter_aot_plugin");
    }
    plugin = malloc(sizeof *plugin);
    memcpy(plugin, symbol, sizeof *plugin);
    static struct mk_list plugins;
    list_init(&plugins);
    list_add(&plugin->_head, &plugins);
}

static void help(void)
{
    printf("help %s: %s\n", plugin->name, plugin->description);
    for (struct flb_config_map *row = plugin->config_map; row && row->name; row++) {
        printf("property %d '%s' %d [%s] %s\n", row->type, row->name, row->flags, row->def_value ? row->def_value : "", row->desc);
    }
}

static void init(void)
{
    struct flb_filter_instance *ins = calloc(1, sizeof *ins);
    instances[at] = ins;
    ins->event_type = plugin->event_type;
    ins->id = at;
    ins->log_level = level;
    snprintf(ins->name, sizeof ins->name - 1, "%s.%i", plugin->name, at);
    ins->alias = alias;
    ins->p = plugin;
    ins->cmt = cmt_create();
    list_init(&ins->properties);
    while (given.next != &given) {
        struct mk_list *one = given.next;
        given.next = one->next;
        one->next->prev = &given;
        list_add(one, &ins->properties);
    }
    printf("init %d\n", plugin->cb_init(ins, &config, NULL));
}

static void end(void)
{
    struct flb_filter_instance *ins = instances[at];
    if (plugin->cb_exit && ins->context) {
        printf("exit %d\n", plugin->cb_exit(ins->context, &config));
    }
    while (ins->properties.next != &ins->properties) {
        struct flb_kv *kv = (struct flb_kv *) ((char *) ins->properties.next - offsetof(struct flb_kv, _head));
        ins->properties.next = kv->_head.next;
        free(kv->key);
        free(kv->val);
        free(kv);
    }
    cmt_destroy(ins->cmt);
    free(ins);
    instances[at] = NULL;
}

static struct call {
    const unsigned char *data;
    size_t size;
    void *out;
    size_t out_size;
    int ret;
    ucontext_t back, coroutine;
} call;

static void run(void)
{
    struct flb_filter_instance *ins = instances[at];
    call.out = NULL;
    call.out_size = 0;
    call.ret = plugin->cb_filter(call.data, call.size, tag, strlen(tag), &call.out, &call.out_size, ins, NULL, ins->context, &config);
}

/* On a stack as coroutines have it: allocated, without a guard. */
static void run_on(size_t size)
{
    enum { GUARD = 8192 };
    unsigned char *stack = malloc(GUARD + size);
    memset(stack, 0xa5, GUARD + size);
    getcontext(&call.coroutine);
    call.coroutine.uc_stack.ss_sp = stack + GUARD;
    call.coroutine.uc_stack.ss_size = size;
    call.coroutine.uc_link = &call.back;
    makecontext(&call.coroutine, run, 0);
    swapcontext(&call.back, &call.coroutine);
    size_t untouched = 0;
    while (untouched < GUARD + size && stack[untouched] == 0xa5) {
        untouched++;
    }
    if (untouched < GUARD) {
        die("the stack overflowed");
    }
    free(stack);
}

static size_t read_hex(const char *text, unsigned char *out)
{
    size_t size = 0;
    for (unsigned byte; sscanf(text, "%2x", &byte) == 1 && text[0] && text[1]; text += 2) {
        out[size++] = byte;
    }
    return size;
}

static void print_answer(void)
{
    if (call.ret == 2 && !call.out && !call.out_size) {
        printf("untouched\n");
    }
    else if (call.ret == 1 && !call.out_size) {
        printf("dropped\n");
    }
    else if (call.ret == 1) {
        printf("modified ");
        for (size_t i = 0; i < call.out_size; i++) {
            printf("%02x", ((unsigned char *) call.out)[i]);
        }
        printf("\n");
    }
    else {
        printf("a strange answer: %d\n", call.ret);
    }
    free(call.out);
}

static void chunk(const char *text)
{
    unsigned char *data = malloc(strlen(text) / 2 + 1);
    call.data = data;
    call.size = read_hex(text, data);
    if (stack_size) {
        run_on(stack_size);
    }
    else {
        run();
    }
    free(data);
}

static int number_of(const char *name)
{
    return !strcmp(name, "HUP") ? SIGHUP : !strcmp(name, "CONT") ? SIGCONT : SIGTERM;
}

static void raise_and_wait(const char *name)
{
    int before = signals_handled;
    kill(getpid(), number_of(name));
    for (int i = 0; i < 5000 && signals_handled == before && !exit_signal; i++) {
        usleep(1000);
    }
    printf("%s\n", signals_handled > before || exit_signal ? "handled" : "not handled");
}

static struct storm {
    int count, pause;
    atomic_int done;
} storm;

static void *send_signals(void *unused)
{
    (void) unused;
    for (int i = 0; i < storm.count; i++) {
        kill(getpid(), i % 50 == 49 ? SIGHUP : SIGCONT);
        usleep(storm.pause);
    }
    storm.done = 1;
    return NULL;
}

/* Chunk after chunk while signals come. */
static void weather(const char *text)
{
    pthread_t thread;
    int chunks = 0, modified = 0;
    storm.done = 0;
    pthread_create(&thread, NULL, send_signals, NULL);
    while (!storm.done) {
        chunk(text);
        chunks++;
        modified += call.ret == 1;
        free(call.out);
    }
    pthread_join(thread, NULL);
    fprintf(stderr, "%d chunks\n", chunks);
    printf("survived%s\n", chunks && (modified == 0 || modified == chunks) ? "" : " with another answer");
}

int main(int argc, char **argv)
{
    (void) argc;
    static char line[4 << 20];
    agents_thread = pthread_self();
    setvbuf(stdout, NULL, _IOLBF, 0);
    list_init(&given);
    flb_signal_init();
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *rest = strchr(line, ' ');
        if (rest) {
            *rest++ = 0;
        }
        char *value = rest ? strchr(rest, ' ') : NULL;
        if (!strcmp(line, "open")) {
            open_plugin(argv[1]);
        }
        else if (!strcmp(line, "close")) {
            free(plugin);
            plugin = NULL;
            printf("close %d\n", dlclose(library));
        }
        else if (!strcmp(line, "help")) {
            help();
        }
        else if (!strcmp(line, "set") && value) {
            struct flb_kv *kv = calloc(1, sizeof *kv);
            *value++ = 0;
            kv->key = strdup(rest);
            kv->val = strdup(value);
            list_add(&kv->_head, &given);
        }
        else if (!strcmp(line, "alias")) {
            alias = strdup(rest);
        }
        else if (!strcmp(line, "level")) {
            level = atoi(rest);
        }
        else if (!strcmp(line, "tag")) {
            strcpy(tag, rest);
        }
        else if (!strcmp(line, "instance")) {
            at = atoi(rest);
        }
        else if (!strcmp(line, "stack")) {
            stack_size = atoi(rest);
        }
        else if (!strcmp(line, "init")) {
            init();
        }
        else if (!strcmp(line, "exit")) {
            end();
        }
        else if (!strcmp(line, "chunk")) {
            chunk(rest ? rest : "");
            print_answer();
        }
        else if (!strcmp(line, "repeat") && value) {
            *value++ = 0;
            for (int i = atoi(rest); i > 0; i--) {
                chunk(value);
                free(call.out);
            }
        }
        else if (!strcmp(line, "signal")) {
            raise_and_wait(rest);
        }
        else if (!strcmp(line, "displace")) {
            flb_signal_init();
        }
        else if (!strcmp(line, "handlers")) {
            printf("handlers are %s\n", has_own_handlers() ? "the agent's" : "others");
        }
        else if (!strcmp(line, "stranger")) {
            install_stranger();
        }
        else if (!strcmp(line, "crash")) {
            *(volatile int *) 8 = 1;
        }
        else if (!strcmp(line, "storm") && value) {
            char *data = strchr(value + 1, ' ');
            storm.count = atoi(rest);
            storm.pause = atoi(value + 1);
            weather(data + 1);
        }
        else if (!strcmp(line, "metrics")) {
            for (struct value *value = instances[at]->cmt->values; value; value = value->next) {
                printf("metric %s} %g\n", value->name, value->value);
            }
        }
        else if (!strcmp(line, "threads")) {
            FILE *status = fopen("/proc/self/status", "r");
            char text[200];
            while (fgets(text, sizeof text, status)) {
                if (!strncmp(text, "Threads:", 8)) {
                    printf("threads %d\n", atoi(text + 8));
                }
            }
            fclose(status);
        }
        else {
            die("what?");
        }
    }
    return 0;
}
