"""The catalogue of bad configs and tables: overrides -> the whole message. See BAD_INPUT.md."""

from typing import Any, NamedTuple

PLACE = "a path or a name: some text, without ${, which Spark's SQL would replace"
SIZE = (
    "a number of rows, a part of the pool between 0 and 1, a total of a metadata column such as "
    "{total: 1000000, of: tokens}, or a share of the leaves: {coverage: 0.9}"
)
BASE = {
    "input": {"table": "data/pool", "embedding": "vector"},
    "output": {"root": "data/lake"},
    "cluster": {"levels": [8, 3]},
    "samples": [{"name": "s", "target_size": 20, "share": {"leaves": 0.0}}],
}
OVERRIDES = {  # of BASE -> the whole message
    "clusters.levels=[8]": "clusters: unknown key; did you mean cluster?",
    "input.tabel=data/pool": "input.tabel: unknown key; did you mean input.table?",
    "levels=[8]": "levels: unknown key; did you mean cluster.levels?",
    "verbose=true": "verbose: unknown key; conf/base.yaml lists every key",
    "input=data/pool": "input='data/pool': want a mapping of its keys",
    "samples=null": "samples=None: want a list",
    "samples=[]": "samples=[]: want at least 1 entry",
    "seed=soon": "seed='soon': want a whole number",
    "input.options.mergeSchema=true": "input.options.mergeSchema=True: want text",
    "cluster.max_iter=1.5": "cluster.max_iter=1.5: want a whole number",
    "cluster.max_iter=0": "cluster.max_iter=0: want at least 1",
    "cluster.tol=1e-4": (
        "cluster.tol='1e-4': want a number; YAML takes this for text, write 0.0001"
    ),
    "cluster.levels=8": (
        "cluster.levels=8: want 'auto', or nodes per level, leaves first: [1000, 100]"
    ),
    "cluster.levels=[]": (
        "cluster.levels=[]: want 'auto', or nodes per level, leaves first: [1000, 100]"
    ),
    "cluster.levels=[3, 8]": (
        "cluster.levels[1]=8 is not below levels[0]=3; want nodes per level, leaves first, each "
        "level smaller"
    ),
    "cluster.breathing=off": (
        "cluster.breathing: no key any more; take it out, levels above the first are no "
        "longer fitted by breathing k-means"
    ),
    "cluster.split=1": "cluster.split=1: want at least 2 or 'auto' or 'off'",
    "cluster.levels=many": (
        "cluster.levels='many': want 'auto', or nodes per level, leaves first: [1000, 100]"
    ),
    "cluster.resampling.rounds=[1]": (
        "cluster.resampling.rounds has 1 entries for 2 levels; want one number or one per level"
    ),
    "cluster.resampling.points=0": (
        "cluster.resampling.points=0: want at least 1 or 'auto' or a list"
    ),
    "samples.0.share.leaves=even": "samples.0.share.leaves='even': want a number or 'auto'",
    "samples.0.on_worse_than_uniform=stop": (
        "samples.0.on_worse_than_uniform='stop': want 'warn' or 'fail'"
    ),
    "samples.0.share.points=1.5": "samples.0.share.points=1.5: want at most 1 or 'auto'",
    "samples.0.target_size=-5": f"samples.0.target_size=-5: want {SIZE}",
    "samples.0.target_size=10%": f"samples.0.target_size='10%': want {SIZE}",
    "samples.0.target_size={total: 5, of: tokens}": (
        "samples.0.target_size.of='tokens' is not among input.metadata=[]; add it there"
    ),
    "samples.0.quotas={by: language, values: {en: {}}}": (
        "samples.0.quotas.values.en.share is missing; want one of share and count, or min, max or "
        "both"
    ),
    "samples.0.quotas={by: language, values: {en: {min: 3, max: 1}}}": (
        "samples.0.quotas.values.en.min=3 is more than max=1"
    ),
    "samples.0.per_node={level: bottom}": (
        "samples.0.per_node.level='bottom': want a whole number or 'top'"
    ),
    "samples.0.must_include=5": (
        "samples.0.must_include=5: want a SQL filter, or a table of ids such as {table: "
        "/lake/gold, id: id}"
    ),
    "samples.0.must_exclude={tabel: /lake/test}": (
        "samples.0.must_exclude.table: missing; every config needs it\n"
        "samples.0.must_exclude.tabel: unknown key; did you mean samples.must_exclude.table?"
    ),
    "samples.0.node_rules=drop": (
        "samples.0.node_rules='drop': want a list of rules such as {level: 1, node_id: 7, rule: "
        "drop}, or a table of them: {table: /lake/rules}"
    ),
    "samples.0.node_rules=[{level: 1, node_id: 7, rule: keep}]": (
        "samples.0.node_rules.0.rule='keep': want 'drop', 'weight' or 'cap'"
    ),
    "samples.0.node_rules=[{level: 1, node_id: 7, rule: cap}]": (
        "samples.0.node_rules.0.cap without a value; want a number"
    ),
    "samples.0.like={tabel: /lake/seeds}": (
        "samples.0.like.table: missing; every config needs it\n"
        "samples.0.like.tabel: unknown key; did you mean samples.like.table?"
    ),
    "samples.0.unlike={table: /lake/seeds, strength: 0}": (
        "samples.0.unlike.strength=0: want more than 0"
    ),
    "samples.0.like={table: /lake/seeds, nearest: 5, strict: true}": (
        "samples.0.like.strict beside nearest, which weights no nodes; want one of them"
    ),
    "samples.0.like=5": "samples.0.like=5: want a mapping of its keys",
    "samples.0.blend={other: 1}": (
        "samples.0.blend.other is no sample; want pool, or the name of a sample that is no blend: "
        "there is none"
    ),
    "samples=[{name: a, target_size: 5}, {name: mix, target_size: 5, blend: {mix: 1}}]": (
        "samples.1.blend.mix is a blend itself; want pool, or the name of a sample that is no "
        "blend: a"
    ),
    "samples=[{name: pool, target_size: 5}, {name: mix, target_size: 5, blend: {pool: 1}}]": (
        "samples.1.blend.pool means the pool itself, and a sample is named so too; want another "
        "name for that sample"
    ),
    "samples.0.blend={pool: 0.5}": "samples.0.blend: its shares sum to 0.5; want 1",
    "samples.0={name: mix, target_size: 5, blend: {pool: 1}, replicas: 2}": (
        "samples.0.replicas beside blend; want it in the samples that are blended"
    ),
    "samples.0={name: mix, target_size: {coverage: 0.5}, blend: {pool: 1}}": (
        "samples.0.blend beside such a target_size; want a number of rows, or a part of the pool"
    ),
    "samples.0.target_size={coverage: 1.5}": "samples.0.target_size.coverage=1.5: want at most 1",
    "samples.0.strategy=best": "samples.0.strategy='best': want 'random', 'closest' or 'diverse'",
    "samples.0.name=../up": "samples.0.name='../up': want text that matches ^[A-Za-z0-9_]+$",
    "samples=[{name: a, target_size: 1}, {name: A, target_size: 2}]": (
        "samples.1.name='A' is taken by samples.0; want unique names, whatever their case"
    ),
    "dedup.threshold=95": "dedup.threshold=95: want at most 1",
    "dedup.keep=first": "dedup.keep='first': want 'closest' or a mapping of its keys",
    "dedup.against=[{tabel: /lake/benchmark}]": (
        "dedup.against.0.table: missing; every config needs it\n"
        "dedup.against.0.tabel: unknown key; did you mean dedup.against.table?"
    ),
    "dedup.against=/lake/benchmark": "dedup.against='/lake/benchmark': want a list",
    "dedup={threshold: 0.9, keep: {by: quality}}": (
        "dedup.keep.by='quality' is not among input.metadata=[]; add it there"
    ),
    "outliers.method=lof": "outliers.method='lof': want 'knn'",
    "outliers={method: knn, max_score: 0}": "outliers.max_score=0: want more than 0",
    "embed.model=sentence-transformers:all-MiniLM-L6-v2": (
        "input.content is missing; embed.model='sentence-transformers:all-MiniLM-L6-v2' reads the "
        "column that it names"
    ),
    "embed.model='onnx:'": ("embed.model='onnx:': want a path, or a model's name, after the colon"),
    "embed={model: 'onnx:model.onnx', options: {batch: 0}}": (
        "embed.options.batch=0: want at least 1"
    ),
    "embed={model: 'onnx:model.onnx', options: {pooling: max}}": (
        "embed.options.pooling='max': want 'mean', 'cls' or 'none'"
    ),
    "embed={model: 'sentence-transformers:m', options: {trust_remote_code: true}}": (
        "embed.options.trust_remote_code: unknown key; embed.options of "
        "embed.model='sentence-transformers' are: batch, device, prompt, prompt_name, "
        "max_seq_length, truncate_dim, revision"
    ),
    "embed.model=clip": (
        "embed.model='clip': want 'precomputed', 'lsa', 'pixels', sentence-transformers:..., "
        "onnx:... or python:..."
    ),
    "embed.model=python:my_embedder:make": (
        "embed.model='python:my_embedder:make': not from the command line, as it says which "
        "code runs with this job's rights; write it into the config file"
    ),
    "learnability={source: pool, online: {model: 'python:m:f', reads: [a]}}": (
        "learnability.online.model='python:m:f': not from the command line, as it says which code "
        "runs with this job's rights; write it into the config file"
    ),
    "learnability.trainer={command: [rm], folder: /tmp}": (
        "learnability.trainer={'command': ['rm'], 'folder': '/tmp'}: not from the command line, as "
        "it says which code runs with this job's rights; write it into the config file"
    ),
    "learnability.source=pool": (
        "learnability.online is missing; want the online model's losses, such as {table: "
        "/lake/losses, id: id, loss: loss}, or classifier in their place"
    ),
    "learnability={source: pool, online: {pair: [a, b], loss: c}}": (
        "learnability.online.pair beside loss; want one of loss, pair, views, embedding, model"
    ),
    "learnability.online={}": (
        "learnability.online.table and loss are both missing; want a table of losses, such as "
        "{table: /lake/losses, id: id, loss: loss}, or the pool's column: {loss: my_loss}"
    ),
    "learnability={classifier: {label: y, clean: {table: t}}, online: {loss: a}}": (
        "learnability.online beside classifier; want one of them: losses of your models, or "
        "classifiers in their place"
    ),
    "learnability.keep=0": "learnability.keep=0: want more than 0",
    "learnability.criterion=best": (
        "learnability.criterion='best': want 'learnability', 'hard', 'easy_reference' or 'uniform'"
    ),
    "contrast.batches.size=1": "contrast.batches.size=1: want at least 2",
    "contrast.batches.temperature=-1": "contrast.batches.temperature=-1: want at least 0",
    "contrast.batches.max_cosine=1.5": "contrast.batches.max_cosine=1.5: want at most 1",
    "contrast.batches={size: 10000, max_cosine: 0.9}": (
        "contrast.batches.size=10000 with max_cosine=0.9: all pairs of a batch are compared in one "
        "task; want at most 8192, or max_cosine: null"
    ),
    "batches.learner={table: data/learner}": (
        "batches.reference is missing; want the table of the reference model's embeddings, such as "
        "{table: /lake/reference, id: id, image: image, text: text}"
    ),
    "batches={learner: {table: l}, reference: {table: r}}": (
        "batches.size is missing; want the pairs of a batch, such as size: 1632"
    ),
    "batches={learner: {table: l}, reference: {table: r}, size: 1638}": (
        "batches.size=1638, no multiple of chunks=16; want 1632 or 1648, or other chunks"
    ),
    "contrast={source: pool, views: {a: view}}": (
        "contrast.views.a='view', b=None; want both columns, one of each view"
    ),
    "contrast={source: pool, views: {}}": (
        "contrast.views.a, noise, content and model are all missing; want one of: columns a and b, "
        "noise, content, model"
    ),
    "contrast={source: pool, views: {table: t, noise: 1.0}}": (
        "contrast.views.table='t' beside noise, which is made of the run's own; want columns a and "
        "b of the table, or no table"
    ),
    "contrast.views={model: 'python:m:f'}": (
        "contrast.views.model='python:m:f': not from the command line, as it says which code runs "
        "with this job's rights; write it into the config file"
    ),
    "contrast.n_clusters=65": "contrast.n_clusters=65: want at most 64",
    "synthesis.concepts=tree": (
        "synthesis.n_captions is missing; want how many captions to write over all concepts, such "
        "as n_captions: 1000"
    ),
    "synthesis.concepts=nodes": (
        "synthesis.concepts='nodes': want 'tree' or 'label' or a mapping of its keys"
    ),
    "synthesis={concepts: label, level: 2, n_captions: 9}": (
        "synthesis.level=2 beside concepts=label; want it with concepts: tree, whose nodes at that "
        "level are the concepts"
    ),
    "synthesis.captioner=gpt": (
        "synthesis.captioner='gpt': want 'grammar', transformers:..., openai:... or python:..."
    ),
    "synthesis.captioner=python:my_captioner:make": (
        "synthesis.captioner='python:my_captioner:make': not from the command line, as it says "
        "which code runs with this job's rights; write it into the config file"
    ),
    "synthesis.generator=python:my_generator:make": (
        "synthesis.generator='python:my_generator:make': not from the command line, as it says "
        "which code runs with this job's rights; write it into the config file"
    ),
    "synthesis={captioner: 'openai:m', captioner_options: {key: k}}": (
        "synthesis.captioner_options.key: unknown key; synthesis.captioner_options of "
        "synthesis.captioner='openai' are: base_url, key_variable, max_length, temperature"
    ),
    "synthesis={captioner: 'openai:m', captioner_options: {base_url: 'ftp://host'}}": (
        "synthesis.captioner_options.base_url='ftp://host': want http://HOST/PATH or https, "
        "without a user; the key comes from key_variable"
    ),
    "synthesis.checks={min_words: 9, max_words: 3}": (
        "synthesis.checks.min_words=9 is more than max_words=3; want at most that"
    ),
    "synthesis.generator=procedurel": (
        "synthesis.generator='procedurel': no such generator; did you mean procedural?"
    ),
    "synthesis.generator=dall-e": (
        "synthesis.generator='dall-e': want procedural, diffusers:NAME_OR_FOLDER or "
        "python:module:factory"
    ),
    "synthesis.images_per_caption=0": "synthesis.images_per_caption=0: want at least 1",
    "synthesis.image_size=4": "synthesis.image_size=4: want at least 8",
    "synthesis.images=png": "synthesis.images='png': want 'delta' or 'files'",
    "synthesis.join={sample: s}": "synthesis.join.max_per_node: missing; every config needs it",
    "embed.options.depth=3": (
        "embed.options.depth: unknown key; embed.options of embed.model='precomputed' are: none"
    ),
    "embed.version=7": "embed.version=7: want text",
    "embed.version=v7": (
        "embed.version='v7' is for models and code of your own (embed.model: "
        "sentence-transformers:..., onnx:... or python:...); leave it out"
    ),
    "embed.model=pixels": (
        "input.content is missing; embed.model='pixels' reads the column that it names"
    ),
    "input.embedding=null": (
        "input.embedding is missing; embed.model='precomputed' reads the column that it names"
    ),
    "report.label=digit": "report.label='digit' is not among input.metadata=[]; add it there",
    "output.schema=lake": (
        "output.root is 'data/lake' beside output.schema; want one of them: root (a path), or "
        "schema (with or without catalog)"
    ),
    "output={}": (
        "output.root is missing, and so is output.schema; want one of them: root (a path), or "
        "schema (with or without catalog)"
    ),
    "input.table=null": "input.table=None: want text",
    "input.table=": "input.table=None: want text",
    "input.table=''": "input.table='': want " + PLACE,
    "input.table=/data/${env:HOME}": "input.table='/data/${env:HOME}': want " + PLACE,
    "output.root=''": "output.root='': want " + PLACE,
    "output.root=7": "output.root=7: want text",
    "output={catalog: main, root: data/lake}": (
        "output.catalog='main' needs a schema; name it in output.schema"
    ),
    "output={schema: lake, table_prefix: ../up}": (
        "output.table_prefix='../up': want text that matches ^[A-Za-z0-9_]*$"
    ),
    "input.format=xlsx": (
        "input.format='xlsx': want 'delta', 'table', 'parquet', 'json', 'csv', 'text', "
        "'binaryFile', 'numpy', 'webdataset' or 'arrow'"
    ),
    "input.version=-1": "input.version=-1: want at least 0",
    "input.metadata=label": "input.metadata='label': want a list",
    "input.metadata=[label, text, label]": (
        "input.metadata[2]='label' is there already as metadata[0]; name every column once"
    ),
    "embed.batch_size=0": "embed.batch_size=0: want at least 1",
    "embed.image_size=64": (
        "embed.image_size=64 exceeds 36, the most in colour; lower it or set image_mode: L"
    ),
    "embed.normalize=1": "embed.normalize=1: want true or false",
    "hygiene.max_reject_fraction=10": "hygiene.max_reject_fraction=10: want at most 1",
    "seed=-1": "seed=-1: want at least 0",
    "seed=1e400": "seed='1e400': want a whole number",
    "samples.0.name=''": "samples.0.name='': want text that matches ^[A-Za-z0-9_]+$",
    f"samples.0.name={'x' * 101}": (f"samples.0.name='{'x' * 99}: want at most 100 characters"),
    "samples.0.replicas=0": "samples.0.replicas=0: want at least 1",
    "spark.driver_memory=lots": (
        "spark.driver_memory='lots': want text that matches ^[1-9]\\d*[kmg]$"
    ),
    "update.grow=true": "update.grow=True: not built yet; leave it at its default",
    "--full-refreshed": (
        "override '--full-refreshed': want key.sub=value, such as cluster.max_iter=20"
    ),
    "samples.7.target_size=5": (
        "override 'samples.7.target_size=5': '7' is no index of samples, a list of 1; the first "
        "entry is 0"
    ),
    "input.table.name=pool": (
        "override 'input.table.name=pool': input.table is 'data/pool', which has no keys"
    ),
    "seed=[": "override 'seed=[': the value is not valid YAML; put it in quotes",
}
FILES = {  # what a config file holds -> the whole message after its path
    b"": " is empty; want a mapping of sections: input, output, samples",
    b"- input\n- output": " holds a list; want a mapping of sections: input, output, samples",
    b"input: [a\noutput: b": " is not valid YAML at line 2: expected ',' or ']', but got ':'",
    b"seed: 1\ninput: {table: a}\nseed: 2": (
        " is not valid YAML at line 3: 'seed' stands at line 1 already; keep one"
    ),
    b"input: &a {table: *a}": " holds itself by an alias (& and *); write it out",
    b"input: \xff": " is not UTF-8 text at byte 7; want YAML",
    b"a: !!python/object/apply:os.mkdir [made]": (
        " is not valid YAML at line 1: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.mkdir'"
    ),
}

EXPORTS = {  # options of evenlake export -> the whole message
    "--of batches --sample s": "want one of --of, for selected rows and batches, and --sample",
    "--sample s --batch-size 8": "--batch-size: an option of --of; leave it out",
    "--of batches --split a=1": "--split: an option of --sample; leave it out",
    "--sample s --format csv": (
        "--format csv: want one of parquet, jsonl, jsonl.gz, webdataset, delta, lance, mds"
    ),
    "--sample s --order rank": "--order rank: want one of position, shuffle",
    "--sample s --file-mb 0": "--file-mb 0.0: want more than 0",
    "--sample s --format mds --file-mb 4096": (
        "--file-mb 4096.0: want 1024 or less with --format mds"
    ),
    "--sample s --split train=.9,val=.2": (
        "--split train=9/10,val=1/5: the shares sum to 1.1; want 1, such as train=.98,val=.02"
    ),
    "--sample s --split train=1,val=0": (
        "--split train=1,val=0: val has no share; want more than 0, or leave it out"
    ),
    "--sample s --split train=most": (
        "--split train=most: want shares as numbers, such as train=.98,val=.02"
    ),
    "--sample s --split train": (
        "--split train: want names, each once, with values: train=.98,val=.02"
    ),
    "--sample s --split ../up=1": (
        "--split ../up=1: '../up' becomes a folder; want letters, digits, - and _, and the first a "
        "letter or digit"
    ),
    "--sample s --split a=.5,A=.5": (
        "--split a=1/2,A=1/2: two names differ in case alone; want others"
    ),
    "--sample s --extension image=jpg": (
        "--extension image=jpg: parquet has no files of columns; want it with --format webdataset, "
        "or left out"
    ),
    "--sample s --format webdataset --extension text=json": (
        "--extension text=json: want small letters and digits, such as text=jpg, and not json, "
        "which holds the other columns"
    ),
}
SPARK = "(what Spark says)"
CHECK = "; check input.format, input.version and input.options"
PATH = "; want a path that this session can read"
COLUMNS = "['id', 'x', 'vector', 'text', 'words']"
KINDS = (
    "set input.format to parquet, arrow, numpy, webdataset, binaryFile, json, csv, text or delta, "
    "or name the folder of one kind"
)
SEVERAL = (
    " several columns or rows of one; want one value a row: write them into a table first, or give "
    "a view of them as input.table"
)
UNCOMPUTABLE = (
    f", of input.where, id, content, embedding or metadata, cannot be computed on some row: {SPARK}"
    "; fix the row, or write what holds for it too, such as try_cast(x as int)"
)
DOOR = {  # overrides -> the whole message; {at} is the folder
    "input.table={at}/nowhere": "input.table='{at}/nowhere' cannot be read: " + SPARK + PATH,
    "input.table=nowhere": (
        "input.table='nowhere': no such table in the catalog and no such path; want a table name, "
        "or a path with a slash"
    ),
    "input.table=main.lake.nowhere": (
        "input.table='main.lake.nowhere': no such table in the catalog and no such path; want a "
        "table name, or a path with a slash"
    ),
    "input.table=nofs://bucket/pool": "input.table='nofs://bucket/pool' cannot be read: "
    + SPARK
    + PATH,
    "input.table={at}/odd": (
        f"input.table='{{at}}/odd' holds files ending in ['.xyz'], such as a.xyz; {KINDS}"
    ),
    "input.table={at}/void": "input.table='{at}/void' holds no files",
    "input.table={at}/odd & input.format=parquet": (
        "input.table='{at}/odd' cannot be read as parquet: " + SPARK + CHECK
    ),
    "input.table={at}/files & input.version=0": (
        "input.version=0 needs a Delta table; this is parquet"
    ),
    "input.version=7": "input.table='{at}/pool' cannot be read as delta: " + SPARK + CHECK,
    "input.where=nothing>1": (
        f"input.where='nothing>1' is no SQL condition over {{at}}/pool, which has {COLUMNS}: "
        + SPARK
    ),
    "input.embedding=vectors": (
        f"input.embedding='vectors' is not a column of {{at}}/pool; it has {COLUMNS}"
    ),
    "input.embedding=text": (
        "input.embedding='text' is string; want an array of numbers, or binary holding raw "
        "little-endian float32"
    ),
    "input.content=vector & embed.model=lsa": (
        "input.content='vector' is array<double>; want string (texts, or paths of images) or "
        "binary (images, or texts in UTF-8)"
    ),
    "input.metadata=[x,label]": (
        f"input.metadata[1]='label' is not a column of {{at}}/pool; it has {COLUMNS}"
    ),
    "input.id=concat(": (
        f"input.id='concat(' is no column or SQL expression over {{at}}/pool, which has {COLUMNS}: "
        + SPARK
    ),
    "input.id=x": (
        "input.id='x' is double; want string, int, bigint or binary, such as cast(x as string)"
    ),
    "input.table=main..lake & input.format=table": (
        "input.table='main..lake' is no table name; want parts between dots, such as "
        "main.lake.documents, a part with other signs in backticks"
    ),
    "input.table={at}/foreign": (
        "input.table='{at}/foreign' holds Python user-defined types, whose code the table itself "
        "would bring, in ['extra']; want plain types: write it again without these columns"
    ),
    "input.table={at}/junk": "input.table='{at}/junk' cannot be read as parquet: " + SPARK + CHECK,
    "input.where=id=1; DROP TABLE pool": (
        "input.where='id=1; DROP TABLE pool' is no SQL condition over {at}/pool, which has "
        f"{COLUMNS}: " + SPARK
    ),
    "input.where=vector": (
        f"input.where='vector' is no SQL condition over {{at}}/pool, which has {COLUMNS}: " + SPARK
    ),
    "input.id=count(*)": (
        f"input.id='count(*)' is no column or SQL expression over {{at}}/pool, which has "
        f"{COLUMNS}: " + SPARK
    ),
    "input.id=explode(words)": "input.id='explode(words)' makes" + SEVERAL,
    "input.embedding=explode(array(vector))": (
        "input.embedding='explode(array(vector))' makes" + SEVERAL
    ),
    "input.metadata=['stack(2, x, x)']": "input.metadata[0]='stack(2, x, x)' makes" + SEVERAL,
    "input.metadata=['posexplode(words)']": "input.metadata[0]='posexplode(words)' makes" + SEVERAL,
    "input.metadata=['inline(array(struct(x)))']": (
        "input.metadata[0]='inline(array(struct(x)))' makes" + SEVERAL
    ),
    "input.id='*'": "input.id='*' makes" + SEVERAL,
    "input.where=explode(words) > 'a'": (
        "input.where=\"explode(words) > 'a'\" is no SQL condition over {at}/pool, which has "
        f"{COLUMNS}: " + SPARK
    ),
    "input.where=cast(text as int) > 1": "'cast(text as int) > 1'" + UNCOMPUTABLE,
    "input.id=cast(text as int)": "'cast(text as int)'" + UNCOMPUTABLE,
    "input.metadata=['1 div id']": "'1 div id'" + UNCOMPUTABLE,
    "input.embedding=Vector": (
        f"input.embedding='Vector' is not a column of {{at}}/pool; it has {COLUMNS}; write vector, "
        "which differs in case"
    ),
    "input.id=uuid()": (
        "input.id='uuid()' gives other rows at every read; want columns, and functions of columns "
        "alone: write its outcome into the pool first"
    ),
    "input.where=rand()<0.5": (
        "input.where='rand()<0.5' gives other rows at every read; want columns, and functions of "
        "columns alone: write its outcome into the pool first"
    ),
    "input.where=current_date() > DATE'2020-01-01'": (
        "input.where=\"current_date() > DATE'2020-01-01'\" gives other rows at another time or to "
        "another user; want no current_date() or the like: write the date out, such as "
        "DATE'2026-01-31'"
    ),
    "input.embedding=words": (
        "input.embedding='words' is array<string>; want an array of numbers, or binary holding raw "
        "little-endian float32"
    ),
    "output.root=/proc/evenlake": (
        "output.root='/proc/evenlake' cannot hold the table runs: "
        + SPARK
        + "; want a folder or a schema that you may write to"
    ),
    "output={schema: nowhere}": (
        "output.schema='nowhere' cannot hold the table runs: "
        + SPARK
        + "; want a folder or a schema that you may write to"
    ),
    "output.root={at}/odd/a.xyz": (
        "output.root='{at}/odd/a.xyz' cannot hold the table runs: "
        + SPARK
        + "; want a folder or a schema that you may write to"
    ),
    "input.where=id<0": "the pool is empty: no row is left to curate; check input.where",
    "input.where=id=0": (
        "input.embedding='vector' is null or empty on every row of the pool; check the column"
    ),
}
AFTER_EMBEDDING = {  # the same, if only the points can tell
    "cluster.levels=[13]": (
        "cluster.levels[0]=13 exceeds its input of 6 points; lower it or drop level 1"
    ),
    "cluster.levels=[8,3]": (
        "cluster.levels[0]=8 exceeds its input of 6 points; lower it or drop level 1"
    ),
    "input.id=cast(id as string)": (
        "output holds ids of type int, input.id='cast(id as string)' is string; one root holds "
        "one type: cast input.id, or choose another output.root"
    ),
    "input.table={at}/files": (
        "output holds the pool '{at}/pool', this config reads '{at}/files'; one root holds one "
        "pool: choose another output.root"
    ),
    "samples.0.name=mine": (
        "sample_mine is there and no published sample; name this sample otherwise, or say "
        "--replace-sample"
    ),
}


class BadCode(NamedTuple):
    """The user's own code, as named in a config, that cannot embed."""

    source: str | None  # of my_embedder.py, beside the config
    message: str
    model: str = "python:my_embedder:make"
    embed: dict[str, Any] = {}


_CODE = "embed.model='python:my_embedder:make': "
CODE = {  # what is wrong -> the whole message
    "no factory is named": BadCode(
        None,
        "embed.model='python:my_embedder': want python:package.module:factory, such as "
        "python:my_embedder:make",
        "python:my_embedder",
    ),
    "there is no such module": BadCode(
        None,
        _CODE + "there is no module my_embedder; put my_embedder.py beside the config, or install "
        "it on the driver and on the workers",
    ),
    "the module needs another that is not installed": BadCode(
        "import nowhere",
        _CODE + "my_embedder cannot be imported: ModuleNotFoundError: No module named 'nowhere'; "
        "fix it, and install what it needs on the driver and on the workers",
    ),
    "the factory has another name": BadCode(
        "def made(): ...", _CODE + "my_embedder has no make; check its name"
    ),
    "the factory is none": BadCode(
        "make = 7",
        _CODE + "make of my_embedder is of type int; want a function or a class that returns an "
        "embedder when called",
    ),
    "the factory does not take the options": BadCode(
        "def make(): ...",
        _CODE + "make(depth=3) failed with TypeError: make() got an unexpected keyword argument "
        "'depth'; fix it, or its embed.options",
        embed={"options": {"depth": 3}},
    ),
    "the factory returns no function": BadCode(
        "def make(): return 7",
        _CODE + "make returned int; want a function: a list of contents -> (n, n_features) float32",
    ),
    "its `reads` is no column": BadCode(
        "def make(): ...\nmake.version, make.reads = '1', 'text'",
        _CODE + "reads='text' of make: want 'content' or 'embedding'",
    ),
    "its `version` is no text": BadCode(
        "def make(): ...\nmake.version = 1", _CODE + "version=1 of make should be a text"
    ),
}


class Guarded(NamedTuple):
    """A pool of vectors as a whole, and how its run ends."""

    vectors: list[Any]
    message: str
    exit_code: int = 3
    overrides: tuple[str, ...] = ()


_FOUR = [[1.0, 2.0], [2.0, 1.0], [3.0, 1.0], [1.0, 3.0]]
_FIX = "the rejects table names each row: fix the pool, or raise the limit"
_ONE_LEVEL = ("cluster.levels=[2]",)
GUARDS = {  # what the pool is -> how it ends
    "half the vectors have another length": Guarded(
        [*_FOUR, *([1.0, 2.0, float(i)] for i in range(3)), [1.0]],
        "4 of 8 rows were rejected (wrong_length 4), more than hygiene.max_reject_fraction=0.1; "
        + _FIX,
    ),
    "half the vectors are NaN": Guarded(
        [*_FOUR, *4 * [[float("nan"), 1.0]]],
        "4 of 8 rows were rejected (nan 4), more than hygiene.max_reject_fraction=0.1; " + _FIX,
    ),
    "one row, and more clusters than that": Guarded(
        [[1.0, 2.0]],
        "cluster.levels[0]=2 exceeds its input of 1 rows; lower it or drop level 1",
        2,
        _ONE_LEVEL,
    ),
    "all rows alike, copies kept, and more than one cluster": Guarded(
        12 * [[1.0, 2.0]],
        "cluster.levels[0]=2: n_clusters=2 should be <= 1, the number of distinct points; lower it "
        "or drop the level",
        2,
        (*_ONE_LEVEL, "dedup.exact=false"),
    ),
}
SESSIONS = {  # what the session has -> the message
    "no Delta Lake": (
        "this Spark session has no Delta Lake: start it with delta-spark's package and its two "
        "confs, spark.sql.extensions and spark.sql.catalog.spark_catalog"
    ),
    "a Delta Lake of another Spark, or one whose own jars are missing": (
        "this session's Delta Lake does not fit its Spark 4.2.0: want the package built for Spark "
        "4.2, which brings the jars it needs, io.delta:delta-spark_4.2_2.13:4.4.0; name it in "
        "spark.jars.packages"
    ),
}

_A_JAVA = (
    "want Java 17, 21 or 25; apt-get install openjdk-17-jre-headless, dnf install "
    "java-21-openjdk-headless, or brew install openjdk@21; then set JAVA_HOME"
)
# session -> JAVA_HOME, the message
BAD_JAVAS = {
    "no Java": (None, f"no java on PATH, no JAVA_HOME; {_A_JAVA}"),
    "a JAVA_HOME without Java": ("{at}", f"JAVA_HOME={{at}} holds no bin/java; {_A_JAVA}"),
    "Java 11": ("{at}/11", f"{{at}}/11/bin/java is Java 11; {_A_JAVA}"),
}
_FULL = (
    "no space is left where the output is written, or in Spark's scratch folder (spark.local.dir, "
    "/tmp unless set): make room, evenlake runs clean among others, then run the same command "
    "again; it goes on where it was"
)
_MEMORY = (
    "a process ran out of memory: give it more (spark.driver_memory in local mode, "
    "spark.executor.memory and spark.executor.memoryOverhead on a cluster; evenlake plan says how "
    "much), then run the same command again; it goes on where it was"
)
TROUBLES = {  # what Spark raises -> (the machine's trouble, the message)
    "java.io.IOException: No space left on device": ("a full disk", _FULL),
    "java.io.IOException: Disk quota exceeded": ("a quota that is used up", _FULL),
    "java.lang.OutOfMemoryError: Java heap space": ("a heap that is too small", _MEMORY),
    "MemoryError: Unable to allocate 4.00 GiB for an array": (
        "a Python worker without enough memory",
        _MEMORY,
    ),
    "ExecutorLostFailure (executor 1 exited): Container killed by YARN for exceeding memory "
    "limits": ("a container over its memory limit", _MEMORY),
    "ExecutorLostFailure (executor 3 exited): Command exited with code 52": (
        "an executor whose heap ran out",
        _MEMORY,
    ),
    "The executor with id 2 exited with exit code 137(SIGKILL, possible container OOM)": (
        "a process that the kernel killed for its memory",
        _MEMORY,
    ),
}
